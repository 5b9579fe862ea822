// Started by durability.test.ts and killed at some moment: makes calls without end and says which intents were acknowledged.
import { openJournal } from '../../src/journal/journal.ts';
import { done, facts, key } from './sample-call.ts';

const [dir = '', sync = 'os'] = process.argv.slice(2);
const log = { info() {}, warn() {}, error() {} };
const limits = { segmentBytes: 40_000 };
const journal = await openJournal({ dir, sync: sync === 'disk' ? 'disk' : 'os', key, clock: { nowMs: Date.now }, log, limits });
const { chain } = journal.head();
process.stdout.write(`ready ${chain}\n`);

async function callOn(): Promise<void> {
  for (;;) {
    const entry = journal.describe(facts);
    await journal.intent(entry, true);
    process.stdout.write(`${chain} ${entry.call}\n`);
    journal.outcome(entry, done);
  }
}
await Promise.all(Array.from({ length: 8 }, callOn));
