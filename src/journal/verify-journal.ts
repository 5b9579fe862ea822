import { basename, join } from 'node:path';
import { batchRecords, type ChainHead, deriveKeys, genesis, isSealedWith, type Link, lineLimitBytes, readLink } from './chain.ts';
import { chainId } from './recover.ts';
import { listChains, listSegments, readLines, type Segment } from './segments.ts';

interface VerifyOptions {
  /** The journal's key: without it seals are not checked, and somebody who hashed everything anew would not be noticed. */
  readonly key?: Buffer | undefined;
  /** Kept elsewhere: without one, records cut off the end are not noticed. */
  readonly heads?: readonly ChainHead[] | undefined;
  /** How far an index has followed chains. */
  readonly seen?: readonly ChainHead[] | undefined;
  /** Whether all of those are in this journal: not so where replicas share the index, and after a restore. */
  readonly isSeenHere?: boolean | undefined;
}

type Fault = 'edited' | 'missing' | 'reordered' | 'replaced' | 'forged' | 'cut';

/** The first bad record of a chain, and what is wrong with it. */
export interface JournalProblem {
  readonly fault: Fault;
  /** Relative to the journal's directory. */
  readonly file: string;
  /** Counted from 1; 0 when the whole file is meant. */
  readonly line: number;
  readonly seq: number;
  readonly message: string;
}

interface ChainReport {
  /** Its directory in the journal's. */
  readonly name: string;
  readonly chain: string | undefined;
  readonly segments: number;
  readonly records: number;
  readonly intents: number;
  readonly outcomes: number;
  /** Outages that are on record, and what was lost in them. */
  readonly gaps: number;
  readonly lost: number;
  readonly firstSeq: number;
  /** The end of the last whole write up to which all is well. */
  readonly head: ChainHead | undefined;
  /** Bytes behind the last whole record: a write that is on its way, or that a crash cut off. */
  readonly tornBytes: number;
  readonly problem: JournalProblem | undefined;
}

export interface JournalReport {
  readonly isIntact: boolean;
  readonly hasCheckedSeals: boolean;
  readonly chains: readonly ChainReport[];
  /** Heads whose chain is not here at all, one of each. */
  readonly missingChains: readonly ChainHead[];
  /** Chains that the index has followed and that are not here: of other machines, or of an earlier one, or lost. Which, no index can tell. */
  readonly elsewhere: readonly ChainHead[];
}

/** Checks every chain of a journal, record by record. Changes nothing; needs no running gateway and stops none. */
export async function verifyJournal(
  dir: string,
  { key, heads = [], seen = [], isSeenHere = false }: VerifyOptions = {},
): Promise<JournalReport> {
  const chains: ChainReport[] = [];
  for (const name of await listChains(dir)) {
    const report = await new ChainCheck(name, key, [...heads, ...seen]).run(dir);
    if (report.segments > 0) chains.push(report);
  }
  const here = new Set(chains.map(({ chain }) => chain));
  const expected = new Map((isSeenHere ? [...seen, ...heads] : heads).map((head) => [head.chain, head]));
  const missingChains = [...expected.values()].filter(({ chain }) => !here.has(chain));
  const elsewhere = seen.filter(({ chain }) => !here.has(chain) && !expected.has(chain));
  const isIntact = missingChains.length === 0 && chains.every(({ problem }) => problem === undefined);
  return { isIntact, hasCheckedSeals: key !== undefined, chains, missingChains, elsewhere };
}

/** A write has one seal at its end, and a gap or a new segment may stand before what it holds. */
const unsealedLimit = batchRecords + 2;

class ChainCheck {
  readonly #name: string;
  readonly #seal: ReturnType<typeof deriveKeys>['seal'] | undefined;
  readonly #heads: readonly ChainHead[];
  #chain: string | undefined;
  #file = '';
  #line = 0;
  #first: Link | undefined;
  #last: Link | undefined;
  #lastSealed: Link | undefined;
  #records = 0;
  #intents = 0;
  #outcomes = 0;
  #gaps = 0;
  #lost = 0;
  #unsealed = 0;
  #tornBytes = 0;
  /** Up to where records may be missing at the start, by the last removal on record. */
  #removal: { readonly seq: number; readonly prev: string } | undefined;
  #problem: JournalProblem | undefined;

  constructor(name: string, key: Buffer | undefined, heads: readonly ChainHead[]) {
    this.#name = name;
    this.#seal = key && deriveKeys(key).seal;
    this.#heads = heads;
  }

  async run(dir: string): Promise<ChainReport> {
    const segments = await listSegments(join(dir, this.#name));
    for (const [n, segment] of segments.entries()) {
      await this.#readSegment(segment, n === segments.length - 1);
      if (this.#problem !== undefined) break;
    }
    if (this.#problem === undefined) this.#checkStart(segments);
    if (this.#problem === undefined) this.#checkEnd();
    if (this.#problem?.fault === 'missing') await this.#lookFurther(segments);
    return {
      name: this.#name,
      chain: this.#chain,
      segments: segments.length,
      records: this.#records,
      intents: this.#intents,
      outcomes: this.#outcomes,
      gaps: this.#gaps,
      lost: this.#lost,
      firstSeq: this.#first?.seq ?? 0,
      head: this.#headAt(this.#lastSealed),
      tornBytes: this.#tornBytes,
      problem: this.#problem,
    };
  }

  #headAt(link: Link | undefined): ChainHead | undefined {
    if (link === undefined || this.#chain === undefined) return undefined;
    return { chain: this.#chain, seq: link.seq, hash: link.hash };
  }

  async #readSegment({ path }: Segment, isLast: boolean): Promise<void> {
    this.#file = join(this.#name, basename(path));
    this.#line = 0;
    for await (const { lines, rest } of readLines(path)) {
      for (const line of lines) {
        this.#line += 1;
        this.#check(line);
        if (this.#problem !== undefined) return;
      }
      if (rest !== undefined) this.#checkRest(rest, isLast);
    }
  }

  #check(line: string): void {
    const link = readLink(line);
    if (link === undefined) this.#fail('edited', this.#expected(), 'is not what was written, or something was put in here');
    else if (this.#last === undefined) this.#begin(line, link);
    else this.#checkPlace(link, this.#last);
    if (link === undefined || this.#problem !== undefined) return;
    this.#checkSeal(line, link);
    this.#checkHeads(link);
    if (this.#problem !== undefined) return;
    this.#last = link;
    if (link.isSealed) this.#lastSealed = link;
    this.#count(line);
  }

  #checkPlace({ seq, prev }: Link, last: Link): void {
    const expected = this.#expected();
    if (seq > expected) this.#fail('missing', expected, `is not here: record ${seq} stands in its place`);
    else if (seq < expected) this.#fail('reordered', seq, `stands here once more, in place of record ${expected}`);
    else if (prev !== last.hash)
      this.#fail('replaced', seq, 'does not follow the record before it: one of the two is not the one that was written');
  }

  #expected(): number {
    return this.#last === undefined ? 1 : this.#last.seq + 1;
  }

  #begin(line: string, link: Link): void {
    this.#first = link;
    this.#chain = chainId(line);
    if (link.seq === 1 && link.prev !== genesis) this.#fail('replaced', 1, 'does not begin a chain');
    else if (this.#chain === undefined)
      this.#fail('missing', link.seq - 1, 'and what came before it are not here: no segment begins so');
  }

  #checkSeal(line: string, link: Link): void {
    if (this.#seal === undefined || this.#problem !== undefined) return;
    this.#unsealed = link.isSealed ? 0 : this.#unsealed + 1;
    if (link.isSealed && !isSealedWith(this.#seal, line))
      this.#fail('forged', link.seq, 'was sealed with another key: it, or a record since the last seal, was made anew');
    else if (this.#unsealed > unsealedLimit)
      this.#fail('forged', link.seq, 'and those before it have no seal: they were not written by this journal');
  }

  #checkHeads(link: Link): void {
    for (const head of this.#heads)
      if (head.chain === this.#chain && head.seq === link.seq && head.hash !== link.hash)
        this.#fail('replaced', link.seq, 'is not the one whose hash was kept elsewhere');
  }

  #checkRest(rest: string, isLast: boolean): void {
    this.#line += 1;
    // A whole record without its line's end is no write that was cut off.
    const isWhole = /"hash":"[\w-]{43}"\}/.test(rest) || rest.length > lineLimitBytes;
    if (isLast && !isWhole) this.#tornBytes = rest.length;
    else this.#fail('edited', this.#expected(), 'is not what was written: its line does not end');
  }

  #checkStart(segments: readonly Segment[]): void {
    const first = this.#first;
    if (first === undefined || first.seq === 1) return;
    const removal = this.#removal;
    const isOnRecord =
      removal !== undefined && (first.seq < removal.seq || (first.seq === removal.seq && first.prev === removal.prev));
    if (isOnRecord) return;
    this.#file = join(this.#name, basename(segments[0]!.path));
    this.#line = 0;
    this.#fail('missing', first.seq - 1, 'and all before it are not here, and no removal up to there is on record');
  }

  #checkEnd(): void {
    for (const head of this.#heads) {
      if (head.chain !== this.#chain || head.seq <= (this.#last?.seq ?? 0)) continue;
      this.#line += 1;
      this.#fail('cut', this.#expected(), `is not here: the chain once reached record ${head.seq}, so its end was cut off`);
      return;
    }
  }

  #count(line: string): void {
    this.#records += 1;
    const kind = /"kind":"([a-z]+)"/.exec(line.slice(0, 80))?.[1];
    if (kind === 'intent') this.#intents += 1;
    else if (kind === 'outcome') this.#outcomes += 1;
    else if (kind === 'gap') {
      this.#gaps += 1;
      this.#lost += Number(/"lost":(\d+),"prev"/.exec(line)?.[1] ?? 0);
    } else if (kind === 'removed') {
      const [, seq, prev] = /"firstSeq":(\d+),"firstPrev":"([\w-]{43})"/.exec(line) ?? [];
      if (seq !== undefined && prev !== undefined) this.#removal = { seq: Number(seq), prev };
    }
  }

  /** Whether a record that is not in its place is somewhere else. */
  async #lookFurther(segments: readonly Segment[]): Promise<void> {
    const problem = this.#problem!;
    for (const { path } of segments) {
      for await (const { lines } of readLines(path)) {
        if (!lines.some((line) => line.startsWith(`{"seq":${problem.seq},`))) continue;
        const message = problem.message.replace(' is not here: ', ' is not in its place: ');
        this.#problem = { ...problem, fault: 'reordered', message };
        return;
      }
    }
  }

  #fail(fault: Fault, seq: number, sentence: string): void {
    this.#problem ??= { fault, file: this.#file, line: this.#line, seq, message: `Record ${seq} ${sentence}.` };
  }
}
