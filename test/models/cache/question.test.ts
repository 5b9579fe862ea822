import { expect, it } from 'vitest';
import { findQuestion } from '../../../src/models/cache/question.ts';
import { measureHeld } from '../../support/held-memory.ts';

const ask = (content: string) => findQuestion('chat', { messages: [{ role: 'user', content }] });

it('is at most 2,000 characters long, with its blanks', () => {
  expect(ask(` ${'x'.repeat(1_999)}`)?.text).toBe('x'.repeat(1_999));
  expect(ask(` ${'x'.repeat(2_000)}`)).toBeUndefined();
  expect(ask(`why?${' '.repeat(2_000)}`)).toBeUndefined();
  expect(ask(' '.repeat(20))).toBeUndefined();
});

it('keeps nothing in memory of the request that it came with', async () => {
  const expectHeld = measureHeld();
  const questions = Array.from({ length: 200 }, (_, n) => {
    const blanks = n % 2 === 0 ? 250_000 : 1_000;
    const body = JSON.parse(JSON.stringify({ content: `what is number ${n}?${' '.repeat(blanks)}` }));
    return ask(body.content)?.text;
  });
  await expectHeld(2_000_000);
  expect(questions.filter((text) => text !== undefined)).toHaveLength(100);
});
