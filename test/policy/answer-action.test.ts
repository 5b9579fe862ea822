import { expect, test } from 'vitest';
import { type AnswerAction, strictestAnswers } from '../../src/policy/answer-action.ts';
import { buildPolicies } from '../../src/policy/policy.ts';

test.each<[readonly (AnswerAction | undefined)[], AnswerAction]>([
  [[], 'flag'],
  [[undefined, undefined], 'flag'],
  [['off'], 'off'],
  [['off', 'flag'], 'flag'],
  [['block', 'off'], 'block'],
  [['off', undefined, 'block'], 'block'],
])('of %j the strictest counts: %s', (said, expected) => {
  expect(strictestAnswers(said.map((answers) => ({ answers })))).toBe(expected);
});

test('what holds everywhere is not taken back by a namespace or a capability; where nobody says anything, they may', async () => {
  const ofAll = (policy: object) => ({ scope: { kind: 'global' as const }, policy });
  const ofOne = { scope: { kind: 'capability' as const, capability: 'hr/find' }, policy: { answers: 'off' as const } };
  const answersOf = async (...sources: Parameters<typeof buildPolicies>[0]) =>
    (await buildPolicies(sources)).of('hr/find', 'hr').answers;
  expect(await answersOf(ofAll({ answers: 'block' }), ofOne)).toBe('block');
  expect(await answersOf(ofAll({ timeoutMs: 5 }), ofOne)).toBe('off');
});
