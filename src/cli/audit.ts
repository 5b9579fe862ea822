import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import { journalPath } from '../journal/journal.ts';
import { type JournalReport, verifyJournal } from '../journal/verify-journal.ts';
import { openLog } from '../log.ts';
import type { Settings } from '../settings.ts';
import { openStore } from '../store/open-store.ts';
import type { AuditHead } from '../store/ports/audit-index.ts';
import { plain, plainLines, showJson } from './show-answer.ts';

interface VerifyOptions {
  readonly settings: Pick<Settings, 'data' | 'databaseUrl' | 'masterKey'>;
  /** A journal elsewhere, a copy for example; the data directory's when left out. */
  readonly dir?: string | undefined;
  /** `<chain>:<seq>:<hash>`, as this command prints it, kept elsewhere since then. */
  readonly heads?: readonly string[] | undefined;
  readonly json: boolean;
  readonly write: (text: string) => void;
}

/** `gatehouse audit verify`: is the journal as it was written. Exit code 0 intact, 1 broken, 2 nothing to check or a head that is none. */
export async function verifyAudit({ settings, dir, heads = [], json, write }: VerifyOptions): Promise<number> {
  const path = dir ?? journalPath(settings.data);
  if (!existsSync(path)) return complain(json, write, `There is no journal in ${path}; check GATEHOUSE_DATA.`);
  const given = heads.map(readHead);
  const wrong = heads.find((_, n) => given[n] === undefined);
  if (wrong !== undefined)
    return complain(json, write, `"${wrong}" is no head; write <chain>:<seq>:<hash>, as this command prints it.`);
  const known = await knownFromStore(settings);
  const own = given.filter((head) => head !== undefined);
  const { key, heads: seen } = known;
  const report = await verifyJournal(path, { key, heads: own, seen, isSeenHere: dir === undefined && known.isOfThisJournal });
  if (report.chains.length === 0 && report.isIntact) return complain(json, write, `There is no record in ${path}.`);
  if (json) write(showJson(JSON.parse(JSON.stringify({ ...report, sealsNotChecked: known.reason }))));
  else write(describe(report, known.reason));
  return report.isIntact ? 0 : 1;
}

function complain(json: boolean, write: (text: string) => void, message: string): number {
  write(`${plain(json ? JSON.stringify({ error: message }) : message)}\n`);
  return 2;
}

function readHead(text: string): AuditHead | undefined {
  const [, chain, seq, hash] = /^([0-9a-f]{32}):(\d{1,15}):([\w-]{43})$/.exec(text) ?? [];
  return chain === undefined || hash === undefined ? undefined : { chain, seq: Number(seq), hash };
}

interface Known {
  readonly key: Buffer | undefined;
  /** How far the index has followed chains. */
  readonly heads: readonly AuditHead[];
  /** Whether the index knows the chains of no other machine, and of no earlier one. */
  readonly isOfThisJournal: boolean;
  /** Why seals could not be checked. */
  readonly reason: string | undefined;
}

const nothing = { key: undefined, heads: [], isOfThisJournal: false };

/** The store has the key, and remembers how far chains once reached. Never makes one. */
async function knownFromStore({ data, databaseUrl, masterKey }: VerifyOptions['settings']): Promise<Known> {
  if (databaseUrl === undefined && !existsSync(join(data, 'gatehouse.db')))
    return { ...nothing, reason: `there is no store in ${data}` };
  const { log, close } = openLog('silent');
  try {
    const store = await openStore({ dataDir: data, databaseUrl, masterKey, clock: systemClock, log });
    try {
      const key = await store.sealing.get('journal');
      const { restored } = await store.registry.load();
      const isOfThisJournal = databaseUrl === undefined && restored === undefined;
      return { key, heads: await store.audit.heads(), isOfThisJournal, reason: undefined };
    } finally {
      await store.close();
    }
  } catch (error) {
    return { ...nothing, reason: (error as Error).message };
  } finally {
    await close();
  }
}

function describe(
  { isIntact, hasCheckedSeals, chains, missingChains, elsewhere }: JournalReport,
  reason: string | undefined,
): string {
  const lines = chains.map(({ name, records, intents, outcomes, gaps, lost, firstSeq, head, tornBytes, problem }) => {
    const state = problem === undefined ? 'ok  ' : 'FAIL';
    const found = [`${state} chain ${name}: ${records} records from ${firstSeq} on, ${intents} intents, ${outcomes} outcomes`];
    if (gaps > 0)
      found.push(`     could not be written ${gaps} times for a while; ${lost} records were lost, which is on record`);
    if (tornBytes > 0) found.push(`     ${tornBytes} bytes of a write that is not whole; the next start sets them aside`);
    if (problem !== undefined) found.push(`     ${problem.fault}: ${problem.file}, line ${problem.line}: ${problem.message}`);
    if (head !== undefined) found.push(`     head ${head.chain}:${head.seq}:${head.hash}`);
    return found.map(plain).join('\n');
  });
  for (const { chain, seq } of missingChains) lines.push(`FAIL chain ${chain} is not here; it once reached record ${seq}`);
  for (const { chain, seq } of elsewhere)
    lines.push(`note chain ${chain} once reached record ${seq} and is not here: another machine has it, or it is lost`);
  if (reason !== undefined) lines.push(`Seals were not checked: ${reason}`);
  if (!isIntact) lines.push('The journal was changed after it was written.');
  else if (hasCheckedSeals) lines.push('The journal is as it was written.');
  else lines.push('The hashes fit together. Whoever changed a record and hashed all that follow anew would not be noticed.');
  // A journal from elsewhere says whatever it likes.
  return `${lines.map(plainLines).join('\n')}\n`;
}
