import { type Level, pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clearance } from '../../src/call/approve.ts';
import type { Ask } from '../../src/call/ask.ts';
import { makeCaller } from '../../src/call/authenticate/caller.ts';
import type { Permit } from '../../src/call/authorize.ts';
import type { Outcome } from '../../src/call/inspect.ts';
import type { Admission } from '../../src/call/limit.ts';
import { Course } from '../../src/call/record.ts';
import { ContentRefusal } from '../../src/call/screen.ts';
import { GatewayError } from '../../src/errors.ts';
import type { CallCourse } from '../../src/telemetry/course.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { RawResult } from '../../src/wire/message.ts';
import { askFor, callPorts, type RecordedCall } from '../support/call-ports.ts';

const who = makeCaller({ id: 'key:k', kind: 'key', key: 'k', consumer: 'shop', member: 'ada' });
const permit = {
  capability: 'hr/find',
  namespace: 'hr',
  member: { id: 'hr/main' },
  tool: { name: 'find', inputSchema: { type: 'object' } },
  definition: 'hash of find',
  policy: { rules: [] },
} as unknown as Permit;
const hit = (ruleId: string) => ({ ruleId, direction: 'in', pointer: '', count: 1 }) as never;

let close: () => Promise<void>;
let begin: (ask?: Partial<Ask>) => Course;
let records: RecordedCall[];
let ended: CallCourse[];
let lines: { level: Level; [key: string]: unknown }[];

beforeEach(async () => {
  lines = [];
  ended = [];
  const log = pino(
    { level: 'debug', base: null, formatters: { level: (level) => ({ level }) } },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const made = await callPorts({ log });
  const telemetry = { ...made.ports.telemetry, ended: (course: CallCourse) => void ended.push(course) };
  ({ records, close } = made);
  begin = (ask = {}) =>
    new Course({ ...made.ports, telemetry }, who, askFor({ params: { name: 'hr__find', arguments: { a: 1 } }, ...ask }));
});
afterEach(() => close());

const screened = (hits: readonly never[] = []): Clearance => ({ ...permit, hits }) as unknown as Clearance;
const answered = (value: JsonObject, hits: readonly never[] = []): Outcome =>
  ({ kind: 'result', result: RawResult.from(value), hits }) as unknown as Outcome;

test('AU-05: a call that went well has one record, with who, what and how much, and no line in the log', () => {
  const course = begin();
  course.permit = permit;
  void course.intend(screened());
  course.isSent = true;
  course.done(answered({ content: [] }));
  expect(records).toHaveLength(1);
  expect(records[0]).toMatchObject({
    principal: 'key:k',
    key: 'k',
    consumer: 'shop',
    member: 'ada',
    method: 'tools/call',
    capability: 'hr/find',
    upstream: 'hr/main',
    decision: 'allow',
    outcome: 'done',
    hasIntent: true,
    argumentsDigest: 'digest of 7',
    definition: 'hash of find',
  });
  expect(ended).toMatchObject([{ outcome: 'done', code: undefined, consumer: 'shop', bytesOut: 14 }]);
  expect(lines).toEqual([]);
});

test.each([
  ['an action that only reads', 'admin', true, false, false],
  ['an action that reaches out', 'admin', true, true, true],
  ['an action that changes something', 'admin', false, false, true],
  ['a tool whose upstream says that it only reads', 'mcp', true, false, true],
])('%s: whether it needs a record first', async (_, kind, readOnlyHint, openWorldHint, mayChange) => {
  const asked: boolean[] = [];
  const { ports, close: end } = await callPorts();
  const intent = (_: unknown, may: boolean) => void asked.push(may);
  const journal = { ...ports.journal, intent } as typeof ports.journal;
  const tool = { name: 'find', annotations: { readOnlyHint, openWorldHint } };
  const clearance = { ...screened(), member: { id: 'hr/main', config: { kind } }, tool } as unknown as Clearance;
  void new Course({ ...ports, journal }, who, askFor({ params: { name: 'hr__find' } })).intend(clearance);
  expect(asked).toEqual([mayChange]);
  await end();
});

test('what was refused before anything was found for it is on record with its code, without a capability', () => {
  begin().failed(new GatewayError('unknown_capability', 'Unknown tool: hr__find'));
  expect(records).toMatchObject([
    { decision: 'deny', rule: 'unknown_capability', outcome: 'refused', code: 'unknown_capability', hasIntent: false },
  ]);
  expect(records[0]?.capability).toBeUndefined();
  expect(ended).toMatchObject([{ outcome: 'refused', namespace: undefined }]);
  expect(lines).toMatchObject([{ level: 'debug', outcome: 'refused' }]);
});

test.each([
  ['breaker_open', false, 'refused', 'debug'],
  ['audit_unavailable', false, 'refused', 'debug'],
  ['upstream_failed', true, 'failed', 'info'],
  ['cancelled', true, 'failed', 'info'],
] as const)('%s of a call that was sent (%s) is "%s", logged as %s', (code, isSent, outcome, level) => {
  const course = begin();
  course.permit = permit;
  void course.intend(screened());
  course.isSent = isSent;
  course.failed(new GatewayError(code, 'why'));
  expect(records).toMatchObject([{ outcome, code, decision: 'allow' }]);
  expect(lines).toMatchObject([{ level, outcome, code, reason: 'why', caller: 'key:k', capability: 'hr/find' }]);
});

test('a bug is an error in the log with its cause, and its message stays there', () => {
  const course = begin();
  course.failed(new TypeError('x of undefined, secret-4711'));
  expect(records).toMatchObject([{ code: 'internal' }]);
  expect(JSON.stringify([records, ended])).not.toContain('secret-4711');
  expect(lines).toMatchObject([{ level: 'error', err: { message: 'x of undefined, secret-4711' } }]);
});

test.each<[Outcome, object]>([
  [answered({ content: [], isError: true }), { outcome: 'tool-error' }],
  [answered({ content: [], isError: false }), { outcome: 'done' }],
  [{ kind: 'error', error: { code: -32000, message: 'no' }, hits: [] } as unknown as Outcome, { outcome: 'upstream-error' }],
  [{ kind: 'input-required', hits: [] } as unknown as Outcome, { outcome: 'input-required' }],
])('%j is counted as %j', (outcome, expected) => {
  const course = begin();
  void course.intend(screened());
  course.done(outcome);
  expect(ended).toMatchObject([expected]);
  expect(records).toHaveLength(1);
});

describe('content rules that matched', () => {
  test('on both ways are on record by their names, each once', () => {
    const course = begin();
    void course.intend(screened([hit('secrets/a'), hit('secrets/b')]));
    course.done(answered({ content: [] }, [hit('secrets/a')]));
    expect(records).toMatchObject([{ contentRules: ['secrets/a', 'secrets/b'] }]);
    expect(ended).toMatchObject([{ contentHits: 3 }]);
  });

  test('are also when they refused the call, or its answer', () => {
    begin().failed(new ContentRefusal('no', [hit('secrets/a')]));
    const course = begin();
    void course.intend(screened([hit('secrets/a')]));
    course.isSent = true;
    course.failed(new ContentRefusal('no', [hit('secrets/b')]));
    expect(records.map(({ outcome, contentRules }) => [outcome, contentRules])).toEqual([
      ['refused', ['secrets/a']],
      ['failed', ['secrets/a', 'secrets/b']],
    ]);
  });
});

test.each(['done', 'failed'] as const)('what a call holds is given back once it is %s', (way) => {
  let released = 0;
  const course = begin();
  const reservation = {
    settle() {},
    release() {
      released += 1;
    },
  };
  course.admission = { ...permit, reservation, shadowRefusals: 2 } as unknown as Admission;
  if (way === 'done') course.done(answered({ content: [] }));
  else course.failed(new GatewayError('rate_limited', 'no'));
  expect(released).toBe(1);
  expect(ended).toMatchObject([{ limitRefusals: way === 'done' ? 2 : 3 }]);
});
