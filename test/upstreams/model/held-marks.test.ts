import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../../src/wire/json.ts';
import { ask, openModel } from './calling.ts';
import {
  chatEvent,
  chatReply,
  doneEvent,
  type FarEnd,
  json,
  messagesEvent,
  openStream,
  startFarEnd,
  usageEvent,
} from './far-end.ts';

// Containers and sounds of an answer lie with one provider, and are good for whoever the answer was made for.

let one: FarEnd;
let two: FarEnd;
beforeAll(async () => {
  [one, two] = await Promise.all([startFarEnd(), startFarEnd()]);
});
afterAll(() => Promise.all([one.close(), two.close()]));

type Model = Awaited<ReturnType<typeof openModel>>['upstream'];
interface Kind {
  readonly name: string;
  readonly dialect: string;
  readonly provider: string;
  readonly more: object;
  /** Asks for an answer with one. */
  readonly first: JsonObject;
  /** A whole answer, as the provider gives it. */
  readonly whole: object;
  readonly events: readonly string[];
  readonly id: string;
  /** Finds the id in what a client got. */
  readonly idIn: RegExp;
  /** Goes on with it. */
  readonly next: (id: string) => JsonObject;
}

const user = { role: 'user', content: 'Go on.' };
const container = { id: 'container_011', expires_at: '2026-11-26T00:00:00Z' };
const message = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'm',
  content: [{ type: 'text', text: 'Say "container":{"id":"container_011"}.' }],
};
const kinds: readonly Kind[] = [
  {
    name: 'a container of Messages',
    dialect: 'messages',
    provider: 'anthropic',
    more: { hostedTools: ['code_execution'] },
    first: { max_tokens: 50, messages: [user], tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] },
    whole: { ...message, stop_reason: 'end_turn', stop_sequence: null, container, usage: { input_tokens: 5, output_tokens: 2 } },
    events: [
      messagesEvent('message_start', {
        message: { ...message, content: [], container, usage: { input_tokens: 5, output_tokens: 1 } },
      }),
      messagesEvent('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
      messagesEvent('content_block_delta', {
        index: 0,
        delta: { type: 'text_delta', text: '"container":{"id":"container_011"}' },
      }),
      messagesEvent('content_block_stop', { index: 0 }),
      messagesEvent('message_delta', { delta: { stop_reason: 'end_turn', container }, usage: { output_tokens: 2 } }),
      messagesEvent('message_stop'),
    ],
    id: 'container_011',
    idIn: /"container":\{"id":"([^"]+)"/g,
    next: (id) => ({ max_tokens: 50, container: id, messages: [user] }),
  },
  {
    name: 'a sound of Chat Completions',
    dialect: 'chat',
    provider: 'openai',
    more: {},
    first: { modalities: ['text', 'audio'], audio: { voice: 'alloy', format: 'wav' }, messages: [user] },
    whole: chatReply('Say "audio":{"id":"audio_abc"}.', {
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: null,
            audio: { id: 'audio_abc', data: 'UklG', transcript: '"audio":{"id":"audio_abc"}' },
          },
          finish_reason: 'stop',
        },
      ],
    }),
    events: [
      chatEvent({ role: 'assistant', audio: { id: 'audio_abc', transcript: '"audio":{"id":"audio_abc"}' } }),
      chatEvent({ audio: { id: 'audio_abc', data: 'UklG' } }),
      chatEvent({}, 'stop'),
      usageEvent,
      doneEvent,
    ],
    id: 'audio_abc',
    idIn: /"audio":\{"id":"([^"]+)"/g,
    next: (id) => ({ messages: [user, { role: 'assistant', audio: { id } }, user] }),
  },
];

describe.each(kinds)('$name', ({ dialect, provider, more, first, whole, events, id, idIn, next }) => {
  const target = (end: FarEnd, name: string) => ({ name, provider, model: 'theirs', url: end.url, key: `\${secret:KEY}` });
  const open = (consumer: string, entry: object = {}) =>
    openModel(
      { targets: [target(one, 'a'), target(two, 'b')], routing: { mode: 'round-robin' }, ...more, ...entry },
      { caller: { id: `key:${consumer}`, consumer } },
    );
  function gives(...ends: readonly FarEnd[]): void {
    for (const end of ends)
      end.does(({ body }, response) =>
        body.stream === true ? void openStream(response).end(events.join('')) : json(response, 200, whole),
      );
  }
  const wish = (body: JsonObject) => ({ model: 'models/fast', ...body });
  async function idsOf(upstream: Model, stream: boolean): Promise<{ readonly ids: readonly string[]; readonly text: string }> {
    const { call, received } = ask(dialect, wish({ ...first, stream }));
    const answer = (await upstream.call(call)) as { readonly body?: Buffer };
    const text = answer.body?.toString() ?? received.text;
    return { ids: Array.from(text.matchAll(idIn), ([, found = '']) => found), text };
  }
  const failureOf = (upstream: Model, body: JsonObject) =>
    upstream.call(ask(dialect, wish(body)).call).then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string },
    );

  test.each([false, true])(
    'goes on at its target, on another replica too, as the id that it has there (streams: %s)',
    async (stream) => {
      gives(one, two);
      const [{ upstream: here }, { upstream: there }] = [await open('billing'), await open('billing')];
      for (const end of [one, two]) {
        const { ids, text } = await idsOf(here, stream);
        expect(new Set(ids).size).toBe(1);
        expect(ids[0]).toMatch(new RegExp(`^[a-z]+_gh[0-9a-f]{40}_${id}$`));
        // What a model says is no id of anything.
        expect(text).toContain(`\\"id\\":\\"${id}\\"`);
        const before = end.heard.length;
        for (const upstream of [there, there, here]) expect(await failureOf(upstream, next(ids[0] ?? ''))).toBeUndefined();
        expect(end.heard).toHaveLength(before + 3);
        expect(end.heard.at(-1)?.body).toMatchObject(next(id));
      }
      await Promise.all([here.close(), there.close()]);
    },
  );

  test('is nothing to another consumer, nor at a target where the call may not go; nobody is asked', async () => {
    gives(one, two);
    const [{ upstream: mine }, { upstream: theirs }] = [await open('billing'), await open('sales')];
    const { ids } = await idsOf(mine, false);
    const [mark = ''] = ids;
    const { upstream: kept } = await open('billing', { routing: { rules: [{ when: 'true', targets: ['b'] }] } });
    const heard = () => one.heard.length + two.heard.length;
    const before = heard();
    for (const upstream of [theirs, kept])
      expect(await failureOf(upstream, next(mark))).toMatchObject({
        code: 'invalid_request',
        message: expect.stringContaining('nothing of yours'),
      });
    for (const wrong of [id, mark.replace(/.$/, 'x'), mark.replace(/_gh[0-9a-f]{8}/, '_gh00000000')])
      expect(await failureOf(mine, next(wrong))).toMatchObject({ code: 'invalid_request' });
    expect(heard()).toBe(before);
    expect(await failureOf(mine, next(mark))).toBeUndefined();
    await Promise.all([mine.close(), theirs.close(), kept.close()]);
  });

  test('has the id of its provider where the entry opens all of them to everybody', async () => {
    gives(one, two);
    const { upstream } = await open('billing', { heldIds: [dialect === 'chat' ? 'audio' : 'container'] });
    const { ids } = await idsOf(upstream, true);
    expect(new Set(ids)).toEqual(new Set([id]));
    expect(await failureOf(upstream, next(id))).toBeUndefined();
    await upstream.close();
  });
});

describe('a container of Responses', () => {
  const item = {
    type: 'code_interpreter_call',
    id: 'ci_1',
    status: 'completed',
    container_id: 'cntr_1',
    code: 'print(1)',
    outputs: [],
  };
  const reply = { id: 'resp_1', object: 'response', model: 'm', status: 'completed', output: [item], usage: null };
  const targets = () => [{ name: 'a', provider: 'openai', model: 'theirs', url: one.url, key: `\${secret:KEY}` }];
  const open = (consumer: string) =>
    openModel({ targets: targets(), hostedTools: ['code_interpreter'] }, { caller: { id: 'k', consumer } });

  test('is sent back with its item, and named by its consumer for the next answer', async () => {
    one.does((_heard, response) => json(response, 200, reply));
    const [{ upstream }, { upstream: other }] = [await open('billing'), await open('sales')];
    const answer = (await upstream.call(ask('responses', { model: 'models/fast', input: 'Go.' }).call)) as {
      readonly body: Buffer;
    };
    const [got] = JSON.parse(answer.body.toString()).output;
    expect(got.container_id).toMatch(/^cntr_gh[0-9a-f]{40}_cntr_1$/);
    const next = { model: 'models/fast', input: [got], tools: [{ type: 'code_interpreter', container: got.container_id }] };
    await upstream.call(ask('responses', next).call);
    expect(one.heard.at(-1)?.body).toMatchObject({ input: [item], tools: [{ container: 'cntr_1' }] });
    await expect(other.call(ask('responses', next).call)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(one.heard).toHaveLength(2);
    await Promise.all([upstream.close(), other.close()]);
  });
});
