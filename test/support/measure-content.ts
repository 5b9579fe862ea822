// Opens content rules in a process of its own, where nothing was compiled before, and prints how long each stretch of the event loop
// took of the processor, in milliseconds: while they were opened, and of each first use.
import { openContentRules } from '../../src/content/content-policy.ts';
import type { ContentLine } from '../../src/content/content-schema.ts';
import { categories } from '../../src/content/rule.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';

const stretches = async (work: () => unknown): Promise<number[]> => {
  const took: number[] = [];
  let isOver = false;
  let before = process.threadCpuUsage();
  const next = (): void => {
    const { user, system } = process.threadCpuUsage(before);
    took.push((user + system) / 1000);
    before = process.threadCpuUsage();
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  await work();
  isOver = true;
  await new Promise(setImmediate);
  return took;
};

const line: ContentLine = { rules: [...categories], do: 'redact' };
const texts = [...Object.values(positive).flat(), ...Object.values(benign).flat()];
let opened: Awaited<ReturnType<typeof openContentRules>> | undefined;
const opening = await stretches(async () => {
  opened = await openContentRules([line]);
});
const policy = opened?.compile([line]);
const uses = await stretches(async () => {
  for (const text of texts) {
    policy?.screenFor('models/fast', 'in')?.screenPrompt({ text });
    await new Promise(setImmediate);
    policy?.screenFor('models/fast', 'out')?.stream().push('text', text);
    await new Promise(setImmediate);
  }
});
console.log(JSON.stringify({ opening, uses }));
