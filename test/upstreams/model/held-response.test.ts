import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GatewayError } from '../../../src/errors.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { ask, openModel } from './calling.ts';
import { type FarEnd, json, openStream, responsesStream, startFarEnd } from './far-end.ts';

// What Responses keeps lies with one provider: a conversation goes on there or not at all.

let one: FarEnd;
let two: FarEnd;
beforeAll(async () => {
  [one, two] = await Promise.all([startFarEnd(), startFarEnd()]);
});
afterAll(() => Promise.all([one.close(), two.close()]));

const target = (end: FarEnd, name: string, more: object = {}) => ({
  ...{ name, provider: 'openai', model: 'theirs', url: end.url, key: `\${secret:KEY}` },
  ...more,
});
const pair = () => [target(one, 'a', { region: 'eu' }), target(two, 'b', { region: 'us' })];

let said = 0;
/** Keeps what it answers. */
function keeps(end: FarEnd): void {
  end.does(({ body }, response) => {
    const id = `resp_${said++}`;
    if (body.stream !== true) {
      const reply = { id, object: 'response', model: 'm', status: 'completed', output: [], usage: null };
      return json(response, 200, { ...reply, previous_response_id: body.previous_response_id ?? null });
    }
    const events = responsesStream(['Hello.']).map((event) => event.replace('"id":"resp_1"', `"id":"${id}"`));
    openStream(response).end(events.join(''));
  });
}

async function turn(
  upstream: { call(call: ReturnType<typeof ask>['call']): Promise<unknown> },
  more: JsonObject = {},
): Promise<{ readonly id: string; readonly previous: string | null; readonly text: string }> {
  const { call, received } = ask('responses', { model: 'models/fast', input: 'Go on.', ...more });
  const answer = (await upstream.call(call)) as { kind: string; body: Buffer };
  if (answer.kind === 'reply') {
    const { id, previous_response_id: previous } = JSON.parse(answer.body.toString());
    return { id, previous, text: '' };
  }
  const ids = new Set(Array.from(received.text.matchAll(/"response":\{"id":"([^"]+)"/g), ([, id]) => id));
  expect(ids.size).toBe(1);
  return { id: [...ids][0] ?? '', previous: null, text: received.text };
}

test.each([false, true])(
  'a conversation goes on at the target that began it, on another replica too (streams: %s)',
  async (stream) => {
    keeps(one);
    keeps(two);
    const config = { targets: pair(), routing: { mode: 'round-robin' } };
    const [{ upstream: here }, { upstream: there }] = [await openModel(config), await openModel(config)];
    for (const [at, end] of [one, two].entries()) {
      const first = await turn(here, { stream });
      const before = end.heard.length;
      for (const upstream of [here, there, here]) {
        const { previous } = await turn(upstream, { previous_response_id: first.id });
        expect(previous).toBe(first.id);
        expect(end.heard.at(-1)?.body.previous_response_id).toMatch(/^resp_\d+$/);
      }
      expect([at, end.heard.length]).toEqual([at, before + 3]);
    }
    await Promise.all([here.close(), there.close()]);
  },
);

test('a response that no target keeps, and one where the call may not go, is refused in words; nobody is asked', async () => {
  keeps(one);
  keeps(two);
  const { upstream } = await openModel({ targets: pair(), routing: { mode: 'round-robin' } });
  const ids = [(await turn(upstream)).id, (await turn(upstream)).id];
  const { upstream: eu } = await openModel({ targets: pair(), routing: { regions: ['eu'] } });
  const [a, b] = [one.heard.length, two.heard.length];
  const refused = async (model: typeof upstream, id: string) =>
    (await turn(model, { previous_response_id: id }).catch((error) => error)) as GatewayError & { data: unknown };
  const forged = [ids[0]?.replace(/_resp.*/, '_resp_999') ?? '', ids[0]?.replace(/(?<=resp_gh.{8})./, 'g') ?? ''];
  for (const id of ['resp_of_others', 'resp_gh00000000_resp_1', '', 'x'.repeat(5_000), ...forged])
    expect(await refused(upstream, id)).toMatchObject({
      ...{ code: 'invalid_request', data: { param: 'previous_response_id' } },
      message: expect.stringContaining('Send the whole conversation'),
    });
  const answers = await Promise.all(ids.map((id) => refused(eu, id)));
  expect(answers.filter(({ message }) => message?.includes('may not go'))).toHaveLength(1);
  // Its twin is where the call may go.
  expect([one.heard.length, two.heard.length]).toEqual([a + 1, b]);
  await Promise.all([upstream.close(), eu.close()]);
});

test('a model with one target passes all but ids on byte for byte', async () => {
  keeps(one);
  const { upstream } = await openModel({ targets: [target(one, 'a')] });
  const { id } = await turn(upstream);
  expect(id).toMatch(/^resp_gh[0-9a-f]{40}_resp_\d+$/);
  expect((await turn(upstream, { previous_response_id: id })).previous).toBe(id);
  one.does((_heard, response) => void openStream(response).end(responsesStream(['Hello.']).join('')));
  const { text } = await turn(upstream, { stream: true });
  expect(text).toMatch(/resp_gh/);
  expect(text.replaceAll(/(resp|msg)_gh[0-9a-f]{40}_/g, '')).toBe(responsesStream(['Hello.']).join(''));
  await upstream.close();
});

const responseOf = async (upstream: Awaited<ReturnType<typeof openModel>>['upstream'], more: JsonObject = {}) =>
  await turn(upstream, more).then(
    ({ id }) => ({ id, error: undefined }),
    (error: GatewayError) => ({ id: '', error: error.message }),
  );

test.each([1, 2])(
  'a response belongs to the consumer that it was made for, by whichever of its keys (targets: %i)',
  async (targets) => {
    keeps(one);
    keeps(two);
    const as = (caller: object) => openModel({ targets: pair().slice(0, targets) }, { caller });
    const all = await Promise.all([
      as({ id: 'key:a', consumer: 'billing' }),
      as({ id: 'key:b', consumer: 'billing' }),
      as({ id: 'key:c', consumer: 'other' }),
      as({ id: 'key:d', member: 'ann' }),
      as({ id: 'key:e', member: 'ann' }),
      as({ id: 'key:f' }),
    ]);
    const [first, second, foreign, ann, annToo, alone] = all.map(({ upstream }) => upstream) as [
      (typeof all)[0]['upstream'],
      ...(typeof all)[0]['upstream'][],
    ];
    const unknown = (await responseOf(first, { previous_response_id: 'resp_gh' })).error;
    expect(unknown).toContain('names no response of yours');
    for (const stream of [false, true]) {
      const { id } = await responseOf(first, { stream });
      const before = one.heard.length;
      for (const stranger of [foreign, ann, alone])
        expect((await responseOf(stranger as typeof first, { previous_response_id: id })).error).toBe(unknown);
      expect(one.heard).toHaveLength(before);
      for (const upstream of [first, second])
        expect((await responseOf(upstream as typeof first, { previous_response_id: id })).error).toBeUndefined();
      expect(one.heard).toHaveLength(before + 2);
    }
    const { id } = await responseOf(ann as typeof first);
    expect((await responseOf(annToo as typeof first, { previous_response_id: id })).error).toBeUndefined();
    expect((await responseOf(first, { previous_response_id: id })).error).toBe(unknown);
    await Promise.all(all.map(({ upstream }) => upstream.close()));
  },
);

test('what is no id is refused, and null is none', async () => {
  keeps(one);
  const { upstream } = await openModel({ targets: [target(one, 'a')] });
  for (const id of [7, ['resp_1'], { id: 'resp_1' }, true])
    expect((await responseOf(upstream, { previous_response_id: id })).error).toContain('names no response');
  expect(one.heard).toHaveLength(0);
  expect((await responseOf(upstream, { previous_response_id: null })).error).toBeUndefined();
  await upstream.close();
});

describe('items of a response', () => {
  const output = [
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'message', id: 'msg_1', role: 'assistant', content: [{ type: 'output_text', text: 'Say "id":"msg_1".' }] },
    { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', arguments: '{"id":"msg_1"}' },
  ];
  const result = { type: 'function_call_output', call_id: 'call_1', output: '1' };
  type Item = { readonly id: string; readonly type: string };

  function gives(end: FarEnd): void {
    const reply = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', output, usage: null };
    end.does((_heard, response) => json(response, 200, reply));
  }
  async function outputOf(upstream: Awaited<ReturnType<typeof openModel>>['upstream']): Promise<readonly Item[]> {
    const { call } = ask('responses', { model: 'models/fast', input: 'Go on.' });
    const answer = (await upstream.call(call)) as { body: Buffer };
    return JSON.parse(answer.body.toString()).output;
  }
  const as = (caller: object, more: object = {}) => openModel({ targets: pair(), ...more }, { caller });
  const billing = { id: 'key:a', consumer: 'billing' };

  test('have ids that are good for their consumer at their target, and say nothing of it in what a model said', async () => {
    gives(one);
    const { upstream } = await as(billing);
    const got = await outputOf(upstream);
    expect(got.map(({ id }) => id)).toEqual(
      output.map(({ id }) => expect.stringMatching(new RegExp(`^${id.slice(0, -2)}_gh[0-9a-f]{40}_${id}$`))),
    );
    expect(got.map(({ id: _, ...rest }) => rest)).toEqual(output.map(({ id: _, ...rest }) => rest));
    await turn(upstream, { input: [...got, result] as never });
    expect(one.heard.at(-1)?.body.input).toEqual([...output, result]);
    const { upstream: again } = await as({ id: 'key:b', consumer: 'billing' });
    await turn(again, { input: [{ type: 'item_reference', id: got[1]?.id ?? '' }, { id: got[2]?.id ?? '' }, result] });
    expect(one.heard.at(-1)?.body.input).toEqual([{ type: 'item_reference', id: 'msg_1' }, { id: 'fc_1' }, result]);
    await Promise.all([upstream.close(), again.close()]);
  });

  test('are sent without their ids by others and to others, and what is nothing else is not sent or refused', async () => {
    gives(one);
    gives(two);
    const { upstream } = await as(billing);
    const { upstream: stranger } = await as({ id: 'key:c', consumer: 'other' });
    const { upstream: elsewhere } = await as(billing, { routing: { regions: ['us'] } });
    const got = await outputOf(upstream);
    const bare = [...output.slice(1).map(({ id: _, ...rest }) => rest), result];
    for (const [model, end] of [
      [stranger, one],
      [elsewhere, two],
    ] as const) {
      await turn(model, { input: [...got, result] as never });
      expect(end.heard.at(-1)?.body.input).toEqual(bare);
      const before = end.heard.length;
      for (const reference of [{ type: 'item_reference', id: got[0]?.id ?? '' }, { id: got[1]?.id ?? '' }]) {
        const { error } = await responseOf(model, { input: [reference] });
        expect(error).toContain('Send the items themselves');
      }
      expect(end.heard).toHaveLength(before);
    }
    const forged = got[1]?.id.replace(/_msg_1$/, '_msg_2') ?? '';
    expect((await responseOf(upstream, { input: [{ id: forged }] })).error).toContain('Send the items themselves');
    expect((await responseOf(upstream, { input: [{ id: 'msg_1' }] })).error).toContain('heldIds');
    await Promise.all([upstream.close(), stranger.close(), elsewhere.close()]);
  });

  test('a reference goes to the target that keeps the item, whichever has its turn', async () => {
    gives(one);
    gives(two);
    const { upstream } = await as(billing, { routing: { mode: 'round-robin' } });
    const [first, second] = [await outputOf(upstream), await outputOf(upstream)];
    const before = [one.heard.length, two.heard.length];
    for (let at = 0; at < 3; at++) await turn(upstream, { input: [{ id: first[1]?.id ?? '' }] });
    const after = [one.heard.length, two.heard.length];
    expect(after.map((count, at) => count - (before[at] ?? 0)).sort()).toEqual([0, 3]);
    const both = { input: [{ id: first[1]?.id ?? '' }, { id: second[1]?.id ?? '' }] };
    expect((await responseOf(upstream, both)).error).toContain('not all kept by one target');
    await upstream.close();
  });

  test('are called the same in every event of a stream', async () => {
    one.does((_heard, response) => void openStream(response).end(responsesStream(['Hel', 'lo.']).join('')));
    const { upstream } = await as(billing);
    const { text } = await turn(upstream, { stream: true });
    expect(text).not.toMatch(/"(item_id|id)":"msg_1"/);
    const ids = Array.from(text.matchAll(/"(?:item_id|id)":"(msg_[^"]+)"/g), ([, id]) => id);
    expect(ids.length).toBeGreaterThan(5);
    expect(new Set(ids).size).toBe(1);
    await turn(upstream, { input: [{ id: ids[0] ?? '' }], stream: true });
    expect(one.heard.at(-1)?.body.input).toEqual([{ id: 'msg_1' }]);
    await upstream.close();
  });
});

describe('what an answer repeats of its request', () => {
  const mine = { id: 'key:a', consumer: 'billing' };
  const others = { id: 'msg_others', item_id: 'rs_others', container_id: 'cntr_others', deep: [{ id: 'fc_others' }] };
  const said = {
    metadata: { id: 'msg_others', item_id: 'rs_others', container_id: 'cntr_others' },
    instructions: [{ id: 'msg_others', type: 'message', role: 'user', content: [] }],
    text: { format: { type: 'json_schema', name: 'f', schema: { properties: {}, default: others } } },
    tools: [{ type: 'function', name: 'f', parameters: { type: 'object', default: others } }],
  };
  const output = [
    { type: 'message', id: 'msg_1', role: 'assistant', content: [] },
    { type: 'mcp_list_tools', id: 'mcpl_1', tools: [{ name: 't', input_schema: { default: others } }] },
    { type: 'file_search_call', id: 'fs_1', results: [{ attributes: others }] },
  ];
  const response = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', ...said, output, usage: null };
  const repeats = (end: FarEnd) =>
    end.does(({ body }, answer) => {
      if (body.stream !== true) return json(answer, 200, response);
      const events = [
        { type: 'response.created', response: { ...response, status: 'in_progress', output: [] } },
        ...output.map((item, output_index) => ({ type: 'response.output_item.done', output_index, item })),
        { type: 'response.completed', response },
      ];
      const bytes = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
      return void openStream(answer).end(bytes);
    });

  test.each([false, true])(
    'proves nothing: whoever writes the id of somebody else there has it back as it was (streams: %s)',
    async (stream) => {
      repeats(one);
      const { upstream } = await openModel({ targets: [target(one, 'a')] }, { caller: mine });
      const { call, received } = ask('responses', { model: 'models/fast', input: 'Go on.', stream });
      const answer = (await upstream.call(call)) as { body?: Buffer };
      const text = answer.body?.toString() ?? received.text;
      expect(text).toContain('_others"');
      expect(text).not.toMatch(/_gh[0-9a-f]{40}_[a-z]+_others/);
      // Its own words it marks.
      for (const id of ['msg_1', 'mcpl_1', 'fs_1']) expect(text).toMatch(new RegExp(`"[a-z]+_gh[0-9a-f]{40}_${id}"`));
      await upstream.close();
    },
  );
});

describe('a container that an answer cites', () => {
  const cited = { type: 'container_file_citation', container_id: 'cntr_1', file_id: 'cfile_1', start_index: 0, end_index: 4 };
  const run = { type: 'code_interpreter_call', id: 'ci_1', container_id: 'cntr_1', code: 'plot()', outputs: [] };
  const part = { type: 'output_text', text: 'Say "container_id":"cntr_1".', annotations: [cited] };
  const message = { type: 'message', id: 'msg_1', role: 'assistant', content: [part] };
  const whole = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', output: [run, message], usage: null };
  const gives = (...ends: readonly FarEnd[]) => {
    for (const end of ends)
      end.does(({ body }, answer) => {
        if (body.stream !== true) return json(answer, 200, whole);
        const place = { item_id: 'msg_1', output_index: 1, content_index: 0 };
        const events = [
          { type: 'response.created', response: { ...whole, status: 'in_progress', output: [] } },
          { type: 'response.output_item.added', output_index: 0, item: run },
          { type: 'response.output_text.delta', ...place, delta: part.text },
          { type: 'response.output_text.annotation.added', ...place, annotation_index: 0, annotation: cited },
          { type: 'response.content_part.done', ...place, part },
          { type: 'response.output_item.done', output_index: 1, item: message },
          { type: 'response.completed', response: whole },
        ];
        const bytes = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
        return void openStream(answer).end(bytes);
      });
  };
  const open = (consumer: string, more: object = {}) =>
    openModel({ targets: pair(), hostedTools: ['code_interpreter'], ...more }, { caller: { id: `key:${consumer}`, consumer } });
  /** The items of an answer as its client has them. */
  async function itemsOf(
    upstream: Awaited<ReturnType<typeof openModel>>['upstream'],
    stream: boolean,
  ): Promise<typeof whole.output> {
    const { call, received } = ask('responses', { model: 'models/fast', input: 'Go on.', stream });
    const answer = (await upstream.call(call)) as { body?: Buffer };
    if (answer.body !== undefined) return JSON.parse(answer.body.toString()).output;
    const named = Array.from(received.text.matchAll(/"container_id":"([^"]+)"/g), ([, id]) => id);
    expect(named).toHaveLength(6);
    expect(new Set(named).size).toBe(1);
    const last = received.text.trimEnd().split('\n\n').at(-1) ?? '';
    return JSON.parse(last.slice(last.indexOf('data: ') + 6)).response.output;
  }

  test.each([false, true])(
    'has one name everywhere, and its own again where the conversation goes on (streams: %s)',
    async (stream) => {
      gives(one, two);
      const [{ upstream }, { upstream: replica }] = [await open('billing'), await open('billing')];
      const items = await itemsOf(upstream, stream);
      const text = JSON.stringify(items);
      expect(text.match(/"cntr_gh[0-9a-f]{40}_cntr_1"/g)).toHaveLength(2);
      expect(text).toContain('Say \\"container_id\\":\\"cntr_1\\".');
      await turn(replica, { input: items as never });
      expect(one.heard.at(-1)?.body.input).toEqual([run, message]);
      // Applications that keep nothing but what was said send it without ids.
      const bare = { role: 'assistant', content: (items[1] as unknown as JsonObject).content ?? null };
      await turn(replica, { input: [bare] });
      expect(one.heard.at(-1)?.body.input).toEqual([{ role: 'assistant', content: [part] }]);
      await Promise.all([upstream.close(), replica.close()]);
    },
  );

  test('is nothing to others, and to other targets: the citation stays what it was', async () => {
    gives(one, two);
    const { upstream } = await open('billing');
    const items = await itemsOf(upstream, false);
    const [, { content }] = items as unknown as [unknown, JsonObject];
    const { upstream: stranger } = await open('other');
    const { upstream: elsewhere } = await open('billing', { routing: { regions: ['us'] } });
    for (const [model, end] of [
      [stranger, one],
      [elsewhere, two],
    ] as const) {
      await turn(model, { input: [{ role: 'assistant', content: content ?? null }] });
      expect(end.heard.at(-1)?.body.input).toEqual([{ role: 'assistant', content }]);
      // Who wants to go on in it is refused.
      expect((await responseOf(model, { input: items as never })).error).toContain('names nothing of yours');
    }
    await Promise.all([upstream.close(), stranger.close(), elsewhere.close()]);
  });
});
