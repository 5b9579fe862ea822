import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SubmissionDocument } from '../../src/registry/documents.ts';
import type { Assessment } from '../../src/review/assess.ts';
import { approvingRule } from '../../src/review/auto-approval.ts';
import { isInternal, sourceOf } from '../../src/review/source.ts';
import { advance, type Step } from '../../src/review/submission.ts';

const people = ['dora', 'ann', 'abe', 'ada'] as const;
type Person = (typeof people)[number];

// What becomes of a submission, told by a model of a few lines: a state, a set of who approved, and a counter of what is submitted.
class Model {
  state: SubmissionDocument['state'] = 'draft';
  approvers = new Set<Person>();

  /** Whether the step is taken. */
  take(kind: Step['kind'], by: Person, needed: number): boolean {
    const from = {
      submit: ['draft', 'changes-requested'],
      withdraw: ['draft', 'submitted', 'changes-requested'],
      update: ['draft', 'submitted', 'changes-requested'],
      approve: ['submitted'],
      reject: ['submitted', 'changes-requested'],
      'request-changes': ['submitted'],
      comment: ['draft', 'submitted', 'changes-requested'],
    }[kind];
    if (!from.includes(this.state)) return false;
    if (kind === 'approve') {
      if (by === 'dora' || this.approvers.has(by)) return false;
      this.approvers.add(by);
      if (this.approvers.size >= needed) this.state = 'approved';
    }
    if (kind === 'submit') this.state = 'submitted';
    if (kind === 'reject') this.state = 'rejected';
    if (kind === 'withdraw') this.state = 'withdrawn';
    if (kind === 'request-changes') this.state = 'changes-requested';
    if (kind === 'submit' || kind === 'update' || kind === 'request-changes') this.approvers.clear();
    return true;
  }
}

const fresh: SubmissionDocument = {
  ...{ about: 'upstream', namespace: 'hr', upstream: 'people', state: 'draft', justification: 'x', pin: 'p', content: 'c' },
  ...{ submitter: { id: 'key:dora', member: 'dora' }, assessment: 'a', score: 100, severity: 'none', isExternal: true },
  ...{ approvals: [], history: [{ atMs: 0, by: 'key:dora', event: 'drafted' }], createdAtMs: 0, changedAtMs: 0 },
};

const step = fc.record({
  kind: fc.constantFrom('submit', 'withdraw', 'update', 'approve', 'approve', 'reject', 'request-changes', 'comment', 'submit'),
  by: fc.constantFrom(...people),
  key: fc.constantFrom(1, 2),
});

test('a submission goes the ways there are, whatever is done to it in whatever order, and forgets nothing of it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(1, 2, 3), (steps, needed) => {
      const model = new Model();
      let submission = fresh;
      for (const [at, { kind, by, key }] of steps.entries()) {
        const before = submission;
        const doer = { id: `key:${by}${key}`, member: by };
        const real =
          kind === 'approve' ? { kind, needed } : kind === 'update' ? { kind, changes: { content: `c${at}` } } : { kind };
        let isTaken = true;
        try {
          submission = advance(submission, real as Step, doer, { nowMs: at + 1, note: 'n' });
        } catch {
          isTaken = false;
        }
        expect(isTaken).toBe(model.take(kind, by, needed));
        expect(submission.state).toBe(model.state);
        expect(new Set(submission.approvals.map(({ member }) => member))).toEqual(model.approvers);
        if (isTaken) expect(submission.history.length).toBeGreaterThan(before.history.length);
        else expect(submission).toBe(before);
        expect(submission.history.slice(0, before.history.length)).toEqual(before.history);
      }
      expect(submission.state === 'approved').toBe(submission.history.some(({ event }) => event === 'published'));
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 300 : 20_000 },
  );
});

describe('sources', () => {
  const command = (...words: string[]) => sourceOf({ transport: { type: 'stdio', command: words, env: {}, cwd: undefined } });
  const address = (url: string) => sourceOf({ transport: { type: 'http', url, headers: {} } });
  const rules = { internal: { origins: ['*.corp.example', 'tools.example:8443'], publishers: ['@corp'] } };

  test.each([
    [address('https://mcp.corp.example/x'), true],
    [address('https://tools.example:8443'), true],
    [address('https://MCP.Corp.Example/'), true],
    [address('https://corp.example/'), false],
    [address('https://evilcorp.example/'), false],
    [address('https://mcp.corp.example.evil.example/'), false],
    [address('https://tools.example'), false],
    [address('https://mcp.corp.example@evil.example/'), false],
    [address('http://mcp.corp.example/'), false],
    [command('npx', '-y', '@corp/tool@1.2.3'), true],
    [command('npx', '-p', '@corp/tool', 'evil'), false],
    [command('npx', '--package=evil', '@corp/tool'), false],
    [command('sh', '-c', 'npx @corp/tool'), false],
    [command('npx', 'corp/tool'), false],
  ])('%j is a source of our own: %s', (source, expected) => {
    expect(isInternal(source, rules)).toBe(expected);
  });

  test('only a command that names its version is exact', () => {
    expect(command('npx', '-y', '@corp/tool@1.2.3').isVersionExact).toBe(true);
    for (const version of ['', '@latest', '@^1.2.3', '@1'])
      expect(command('npx', `@corp/tool${version}`).isVersionExact).toBe(false);
  });
});

test('whatever the rules, nothing external, unseen or with a finding above low is approved by them', () => {
  const severity = fc.constantFrom('none', 'low', 'medium', 'high', 'critical') as fc.Arbitrary<Assessment['severity']>;
  const rule = fc.record(
    {
      namespaces: fc.constantFrom([['hr']], [['it']]).map(([list]) => list),
      minScore: fc.nat(100),
      isReadOnly: fc.constant(true as const),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      fc.array(rule),
      fc.boolean(),
      severity,
      fc.nat(100),
      fc.nat(3),
      fc.boolean(),
      (autoApprove, isExternal, worst, score, tools, reads) => {
        const names = Array.from({ length: tools }, (_, n) => `t${n}`);
        const reach = { reads: reads ? names : [], changes: [], destroys: [], unsaid: reads ? [] : names };
        const source = sourceOf({ transport: { type: 'http', url: 'https://a.example', headers: {} } });
        const assessment = {
          score,
          severity: worst,
          isExternal,
          source,
          reach,
          sees: [],
          findings: [],
          findingsTotal: 0,
          size: { tools, prompts: 0, characters: 0, tokens: 0 },
        };
        const place = approvingRule({ autoApprove: autoApprove as never }, { about: 'upstream', namespace: 'hr' }, assessment);
        if (isExternal || tools === 0 || !['none', 'low'].includes(worst)) expect(place).toBeUndefined();
        else {
          const fits = autoApprove.findIndex(
            (one) =>
              (one.namespaces === undefined || one.namespaces.some((namespace: string) => namespace === 'hr')) &&
              score >= (one.minScore ?? 80) &&
              (one.isReadOnly === undefined || reads),
          );
          expect(place).toBe(fits < 0 ? undefined : fits);
        }
      },
    ),
  );
});
