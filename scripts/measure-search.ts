// Says how well search does on the questions in test/fixtures/search over the tools of well-known APIs.
// npm run search:measure [-- --misses] [--words-only] [--corpus=<directory>]
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readQuery } from '../src/finding/query.ts';
import { rank } from '../src/finding/rank.ts';
import { allSynonyms, type Synonyms } from '../src/finding/synonyms.ts';
import { type View, viewOf } from '../src/finding/view.ts';
import { type CorpusEntry, readCorpus } from './search-corpus.ts';

interface Question {
  readonly text: string;
  readonly answers: ReadonlySet<string>;
  readonly isHeldOut: boolean;
}

const root = join(import.meta.dirname, '..');
const flag = (name: string) => process.argv.find((word) => word === `--${name}` || word.startsWith(`--${name}=`));
const bar = 0.85;

function readQuestions(): readonly Question[] {
  const lines = readFileSync(join(root, 'test', 'fixtures', 'search', 'questions.txt'), 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [text = '', answers = ''] = line.split(' | ');
      const [byte = 0] = createHash('sha256').update(text).digest();
      return { text, answers: new Set(answers.split(', ')), isHeldOut: byte % 3 === 0 };
    });
}

function measure(view: View<CorpusEntry>, synonyms: Synonyms, questions: readonly Question[], times: number[]) {
  const places = questions.map(({ text, answers }) => {
    const startedAtMs = performance.now();
    const found = rank(view, readQuery(text, synonyms), 10);
    times.push(performance.now() - startedAtMs);
    const place = found.findIndex(({ id }) => answers.has(id));
    return { place: place === -1 ? Number.POSITIVE_INFINITY : place + 1, first: found.slice(0, 5).map(({ id }) => id) };
  });
  const share = (most: number) => places.filter(({ place }) => place <= most).length / questions.length;
  return { count: questions.length, at1: share(1), at5: share(5), at10: share(10), places };
}

const entries = readCorpus(flag('corpus')?.split('=')[1] ?? join(root, '.corpus'));
const questions = readQuestions();
const known = new Set(entries.map(({ id }) => id));
const unknown = questions.flatMap(({ text, answers }) =>
  [...answers].filter((id) => !known.has(id)).map((id) => `${id} (${text})`),
);
if (unknown.length > 0) throw new Error(`the questions name operations that are not there: ${unknown.join(', ')}`);

const startedAtMs = performance.now();
const view = await viewOf(entries);
console.log(`${entries.length} tools, indexed in ${Math.round(performance.now() - startedAtMs)} ms`);
const synonyms = flag('words-only') === undefined ? allSynonyms([]) : { at: () => [], apart: () => [] };
const times: number[] = [];
for (const [name, part] of [
  ['all', questions],
  ['tuned on', questions.filter(({ isHeldOut }) => !isHeldOut)],
  ['held out', questions.filter(({ isHeldOut }) => isHeldOut)],
] as const) {
  const { count, at1, at5, at10, places } = measure(view, synonyms, part, times);
  console.log(
    `${name.padEnd(9)} ${String(count).padStart(4)} questions  hit@1 ${at1.toFixed(3)}  hit@5 ${at5.toFixed(3)}  hit@10 ${at10.toFixed(3)}`,
  );
  if (flag('misses') !== undefined && name === 'tuned on')
    for (const [at, { place, first }] of places.entries())
      if (place > 5) console.log(`  ${place > 10 ? '  -' : String(place).padStart(3)}  ${part[at]?.text}: ${first.join(' ')}`);
  if (name === 'all') console.log(`          the bar is hit@5 ${bar}: ${at5 >= bar ? 'met' : 'not met'}`);
}
times.sort((a, b) => a - b);
const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
console.log(`a search takes ${at(0.5)} ms in the middle, ${at(0.99)} ms at the 99th percentile`);
