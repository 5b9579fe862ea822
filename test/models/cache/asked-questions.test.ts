import { expect, it } from 'vitest';
import { askedQuestions } from '../../../src/models/cache/asked-questions.ts';
import { memoryReplies } from '../../../src/store/memory/memory-replies.ts';

const cache = memoryReplies({ nowMs: () => 0 }, 1_000_000);
const rest = 'AAAAAAAAAAAAAAAA';
const dimensions = 64;

function vector(n: number): Float32Array {
  const made = new Float32Array(dimensions);
  made[n % dimensions] = 1;
  made[(n >> 6) % dimensions] = (made[(n >> 6) % dimensions] ?? 0) + 0.5;
  return made;
}

it('holds no more than it may: in one scope the oldest questions go, of many the scopes that were used longest ago', async () => {
  const asked = askedQuestions(cache, { rows: 50_000, bytes: 300_000 });
  const add = (scope: string, n: number) =>
    asked.add(scope, { text: String(n), rest, reply: String(n), atMs: 0 }, vector(n), 1_000);
  const texts = async (scope: string, n: number) =>
    (await asked.find(scope, rest, vector(n), 0.9999)).map(({ asked: { text } }) => text);
  for (let n = 0; n < 3_000; n++) add('large', n);
  expect(await texts('large', 2_999)).toContain('2999');
  expect(await texts('large', 1)).not.toContain('1');
  for (let n = 0; n < 20; n++) add(`small ${n}`, n);
  expect(await texts('small 19', 19)).toEqual(['19']);
  expect(await texts('large', 2_999)).toEqual([]);
});

it('begins a scope anew when its vectors get another length', async () => {
  const asked = askedQuestions(cache);
  asked.add('s', { text: 'old', rest, reply: 'old', atMs: 0 }, Float32Array.of(1, 0), 1_000);
  asked.add('s', { text: 'new', rest, reply: 'new', atMs: 0 }, Float32Array.of(1, 0, 0), 1_000);
  expect(await asked.find('s', rest, Float32Array.of(1, 0), 0.9)).toEqual([]);
  expect((await asked.find('s', rest, Float32Array.of(1, 0, 0), 0.9)).map(({ asked: { text } }) => text)).toEqual(['new']);
});

it('finds nothing of another context, though its digest begins alike', async () => {
  const asked = askedQuestions(cache);
  asked.add('s', { text: 'a', rest, reply: 'a', atMs: 0 }, Float32Array.of(1, 0), 1_000);
  expect(await asked.find('s', `${rest.slice(0, 8)}BBBBBBBB`, Float32Array.of(1, 0), 0.9)).toEqual([]);
  expect(await asked.find('s', rest, Float32Array.of(1, 0), 0.9)).toHaveLength(1);
});
