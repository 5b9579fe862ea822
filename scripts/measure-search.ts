// Says how well search does on the questions in test/fixtures/search over the tools of well-known APIs; fails below the bars.
// npm run search:measure [-- --misses] [--words-only] [--corpus=<directory>]
import { join } from 'node:path';
import { allSynonyms } from '../src/finding/synonyms.ts';
import { viewOf } from '../src/finding/view.ts';
import { readCorpus } from './search-corpus.ts';
import { assertAnswerable, bars, hitsAt, measure, readQuestions } from './search-questions.ts';

const flag = (name: string) => process.argv.find((word) => word === `--${name}` || word.startsWith(`--${name}=`));

const entries = await readCorpus(flag('corpus')?.split('=')[1] ?? join(import.meta.dirname, '..', '.corpus'));
const questions = readQuestions();
assertAnswerable(questions, entries);

const startedAtMs = performance.now();
const view = await viewOf(entries);
console.log(`${entries.length} tools, indexed in ${Math.round(performance.now() - startedAtMs)} ms`);
const isWordsOnly = flag('words-only') !== undefined;
const all = measure(view, isWordsOnly ? { at: () => [], apart: () => [] } : allSynonyms([]), questions);
const tunedOn = all.filter(({ question }) => !question.isHeldOut);
const heldOut = all.filter(({ question }) => question.isHeldOut);

for (const [name, part] of Object.entries({ all, 'tuned on': tunedOn, 'held out': heldOut })) {
  const hits = [1, 5, 10].map((most) => `hit@${most} ${hitsAt(most, part).toFixed(3)}`);
  console.log(`${name.padEnd(9)} ${String(part.length).padStart(4)} questions  ${hits.join('  ')}`);
}
if (flag('misses') !== undefined)
  for (const { question, place, found } of tunedOn)
    if (place > 5)
      console.log(`  ${place > 10 ? '  -' : String(place).padStart(3)}  ${question.text}: ${found.slice(0, 5).join(' ')}`);

const times = all.map(({ elapsedMs }) => elapsedMs).sort((a, b) => a - b);
const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
console.log(`a search takes ${at(0.5)} ms in the middle, ${at(0.99)} ms at the 99th percentile`);
if (!isWordsOnly) {
  const isMet = hitsAt(5, all) >= bars.all && hitsAt(5, heldOut) >= bars.heldOut;
  console.log(`the bars are hit@5 ${bars.all} over all and ${bars.heldOut} held out: ${isMet ? 'met' : 'not met'}`);
  if (!isMet) process.exitCode = 1;
}
