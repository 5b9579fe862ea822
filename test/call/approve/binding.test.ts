import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CallOptions, codeOf, type Gated, ran, startGated } from '../../support/gated.ts';

let gated: Gated;
/** Of whoever asks in this test. */
let key: string;
beforeAll(async () => {
  gated = await startGated();
});
beforeEach(async () => {
  for (const { id } of await gated.pending()) await gated.decide(id, 'deny');
  gated.upstream.calls.length = 0;
  key = await gated.freshKey();
});
afterAll(() => gated?.stop());

const call = (args: object | string, options: CallOptions = {}) => gated.call(args, { key, ...options });

/** Asks for the call and has it approved. */
async function approved(args: object | string, options = {}): Promise<string> {
  expect(codeOf(await call(args, options))).toBe('approval_pending');
  const [waiting] = await gated.pending();
  const id = waiting?.id ?? '';
  expect((await gated.decide(id, 'approve')).body).toMatchObject({ state: 'approved' });
  return id;
}

describe('a call that a gate holds', () => {
  test('says what waits, for whom and where, and that the same call will run; and then it runs, once', async () => {
    const answer = await call({ a: 1 });
    const text = answer.body.result.content[0].text;
    const [waiting] = await gated.pending();
    expect(text).toMatch(/support\/echo was not made yet: somebody with the role approver must agree.*Somebody has to look/);
    expect(text).toContain(`${gated.gateway.url}/approvals/${waiting?.id}`);
    expect(answer.body.result).toMatchObject({
      isError: true,
      _meta: { 'dev.gatehouse/error': { code: 'approval_pending', approval: waiting?.id } },
    });
    expect(gated.upstream.calls).toEqual([]);
    await gated.decide(waiting?.id ?? '', 'approve');
    expect(ran(await call({ a: 1 }))).toBe(true);
    expect(gated.upstream.calls).toHaveLength(1);
    expect(codeOf(await call({ a: 1 }))).toBe('approval_pending');
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('asked for again while it waits is the same request', async () => {
    await Promise.all(Array.from({ length: 8 }, () => call({ a: 1 })));
    expect(await gated.pending()).toHaveLength(1);
  });

  test('that was denied stays denied, with the reason, and is not asked for again', async () => {
    await call({ a: 1 });
    const [waiting] = await gated.pending();
    expect((await gated.decide(waiting?.id ?? '', 'deny', undefined, { reason: 'Not today.' })).body.state).toBe('denied');
    const answer = await call({ a: 1 });
    expect(codeOf(answer)).toBe('approval_denied');
    expect(answer.body.result.content[0].text).toContain('Not today.');
    expect(await gated.pending()).toEqual([]);
    expect(codeOf(await call({ a: 2 }))).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
  });
});

describe('AP-01: an approval is good for exactly one call', () => {
  test.each<[string, object | string, object]>([
    ['another value', { a: 2 }, {}],
    ['one argument more', { a: 1, b: 2 }, {}],
    ['one argument less', {}, {}],
    ['through another toolbox', { a: 1 }, { toolbox: 'box' }],
    ['with other _meta', { a: 1 }, { meta: { 'example.com/x': 1 } }],
    ['by another key of the same person', { a: 1 }, { by: 'ann2' }],
  ])('%s is another call', async (_what, args, { by, ...options }: { by?: 'ann2' }) => {
    await approved({ a: 1 });
    const other = by === undefined ? {} : { key: gated.keys[by] };
    expect(codeOf(await call(args, { ...options, ...other }))).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
    expect(ran(await call({ a: 1 }))).toBe(true);
    expect(gated.upstream.calls).toHaveLength(1);
  });

  test('what a client tells its requests apart by is no part of the call, and is not sent', async () => {
    await approved({ a: 1 }, { meta: { 'claudecode/toolUseId': 'one', 'example.com/x': 1 } });
    expect(ran(await call({ a: 1 }, { meta: { 'claudecode/toolUseId': 'two', 'example.com/x': 1 } }))).toBe(true);
    expect(gated.upstream.calls[0]).not.toContain('toolUseId');
    expect(gated.upstream.calls[0]).toContain('example.com/x');
  });

  test('answers that were not asked for do not come in with it', async () => {
    const answer = await call({ a: 1 }, { retry: { inputResponses: { x: { action: 'accept' } } } });
    expect(answer.body.error.message).toContain('call again from the start');
    expect(gated.upstream.calls).toEqual([]);
  });
});

describe('AP-07: what is sent is what was agreed to', () => {
  const longA = '{"n":12345678901234567890}';
  test.each<[string, string, string]>([
    ['the order of members', '{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}'],
    ['the spelling of a number', '{"a":1}', '{"a":1.0}'],
    ['escapes', '{"a":"e\\u0301/"}', '{"a":"e\u0301\\/"}'],
    ['white space', '{"a":[1,2]}', '{ "a" : [ 1 , 2 ] }'],
    ['long numbers', longA, longA],
  ])('%s makes no other call, and the upstream gets what was agreed to', async (_what, asked, repeated) => {
    await approved(asked);
    expect(ran(await call(repeated))).toBe(true);
    expect(gated.upstream.calls).toHaveLength(1);
    const sent = JSON.parse(gated.upstream.calls[0] ?? '{}').params.arguments;
    expect(sent).toEqual(JSON.parse(asked));
  });

  test.each<[string, string, string]>([
    ['another normal form', '{"a":"\u00e9"}', '{"a":"e\u0301"}'],
    ['the last digit of a long number', longA, '{"n":12345678901234567891}'],
    ['an object that looks like a long number', longA, '{"n":{"rawJSON":"12345678901234567890"}}'],
    ['a text that looks like a number', '{"a":1}', '{"a":"1"}'],
    ['null for nothing', '{}', '{"a":null}'],
  ])('%s is another call', async (_what, asked, repeated) => {
    await approved(asked);
    expect(codeOf(await call(repeated))).toBe('approval_pending');
    expect(gated.upstream.calls).toEqual([]);
    expect(ran(await call(asked))).toBe(true);
  });

  test('of what is there twice, the one that is shown is the one that is sent', async () => {
    const id = await approved('{"a":1,"a":2}');
    expect((await gated.gateway.ok(`GET /approvals/${id}`, undefined, gated.keys.bob)).arguments).toBe('{\n  "a": 2\n}');
    expect(ran(await call('{"a":2}'))).toBe(true);
    expect(JSON.parse(gated.upstream.calls[0] ?? '{}').params.arguments).toEqual({ a: 2 });
    expect(gated.upstream.calls[0]).not.toContain('"a":1');
  });

  test('what is sent with a long number has all its digits', async () => {
    await approved(longA);
    await call(longA);
    expect(gated.upstream.calls[0]).toContain('12345678901234567890');
  });
});
