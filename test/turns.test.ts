import { expect, test } from 'vitest';
import { makeCategoryCheck } from '../src/content/content-check.ts';
import { categories } from '../src/content/rule.ts';
import { loadRules } from '../src/content/rules.ts';
import { screenValue } from '../src/content/screen.ts';
import { inTurns, type Steps } from '../src/turns.ts';

/** Steps of a millisecond each, and how many were done. */
function work(steps: number): { readonly steps: Steps<string>; readonly done: () => number } {
  let done = 0;
  function* run(): Steps<string> {
    for (; done < steps; done++) {
      const untilMs = performance.now() + 1;
      while (performance.now() < untilMs);
      yield;
    }
    return 'all of it';
  }
  return { steps: run(), done: () => done };
}

test('work in turns goes on while somebody waits for it, and stops between two turns when they have left', async () => {
  const waiting: { reason: string | undefined } = { reason: undefined };
  const wanted = work(40);
  expect(await inTurns(wanted.steps, waiting)).toBe('all of it');
  const left = work(5_000);
  const outcome = inTurns(left.steps, waiting);
  waiting.reason = 'the client closed the connection';
  await expect(outcome).rejects.toMatchObject({
    code: 'cancelled',
    message: 'Nobody waits for it any more: the client closed the connection.',
  });
  const doneThen = left.done();
  expect(doneThen).toBeLessThan(100);
  await new Promise((resolve) => setImmediate(resolve));
  expect(left.done()).toBe(doneThen);
});

test('what is done in its first turn is done, whoever has left', () => {
  expect(inTurns(work(0).steps, { reason: 'the client closed the connection' })).toBe('all of it');
});

test('content is not judged on for a client that has left', async () => {
  const check = makeCategoryCheck('in', categories, 'redact', await loadRules(categories));
  const long = Array.from({ length: 400 }, (_, at) => `${'a@b.example '.repeat(40)}${at}`);
  expect(await screenValue(check, long.slice(0, 5), { reason: undefined })).toMatchObject({ kind: 'redacted' });
  const verdict = Promise.resolve(screenValue(check, long, { reason: 'the client closed the connection' }));
  await expect(verdict).rejects.toMatchObject({ code: 'cancelled' });
}, 60_000);
