import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import AnthropicSdk from '@anthropic-ai/sdk';
import OpenaiSdk from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { namespaceFor } from '../../support/admin-gateway.ts';
import { type ModelGateway, openModelGateway, type Place, startPlace } from '../../support/model-gateway.ts';
import { fails, gate, type ScriptedReply, says } from '../../support/model-providers/script.ts';
import { until } from '../../support/until.ts';
import { type ModernServer, startModernServer } from '../../support/upstreams/modern-server.ts';

// Content rules and judges on what models are asked and answer, told in the client's dialect.

const providers = ['openai', 'anthropic', 'gemini', 'bedrock'] as const;
const dialects = ['chat', 'messages', 'responses'] as const;
type Dialect = (typeof dialects)[number];

// Put together here, so that no scanner takes this file for a leak.
const found = `${'AKIA'}Q7WJX4NRT5ZLM2PC`;
const text = `Here it is: ${found} and good luck.`;
const ends: Record<Dialect, string> = { chat: '[DONE]', messages: 'message_stop', responses: 'response.completed' };

let places: Record<(typeof providers)[number] | 'guard', Place>;
let gateway: ModelGateway;
let moderation: Server;
let helm: ModernServer;
/** What the moderation endpoint answers; undefined: never. */
let verdict: { readonly status: number; readonly score: unknown } | undefined;
let judged: unknown[] = [];

beforeAll(async () => {
  const started = await Promise.all(providers.map(async (name) => [name, await startPlace(name)] as const));
  places = { ...Object.fromEntries(started), guard: await startPlace('openai-compatible') } as typeof places;
  moderation = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      judged.push(JSON.parse(body));
      if (verdict === undefined) return;
      const scores = { results: [{ category_scores: { violence: verdict.score } }] };
      response.writeHead(verdict.status, { 'content-type': 'application/json' }).end(JSON.stringify(scores));
    });
  });
  await new Promise<void>((done) => moderation.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(moderation.address() as AddressInfo).port}/v1/moderations`;
  const models: Record<string, object> = { guard: { targets: [places.guard.target], breaker: { minimumCalls: 1_000 } } };
  for (const name of providers)
    for (const rule of ['redact', 'block'] as const) models[`${rule}-${name}`] = { targets: [places[name].target] };
  for (const name of [
    'judged',
    'judged-open',
    'posted',
    'hasty',
    'hasty-open',
    'judged-late',
    'judged-late-open',
    'guarded-late',
  ])
    models[name] = { targets: [places.openai.target], breaker: { minimumCalls: 1_000 } };
  const category = { categories: ['violence'] };
  helm = await startModernServer();
  gateway = await openModelGateway({
    models,
    places: Object.values(places),
    namespaces: {
      helm: namespaceFor(
        'helm',
        helm.url,
        `policy: ${JSON.stringify({ content: [{ direction: 'out', do: 'block', judge: { url, ...category, deadlineMs: 100 } }] })}`,
      ),
    },
    policy: {
      content: [
        { match: ['models/redact-*'], rules: ['secrets'], do: 'redact' },
        { match: ['models/block-*'], rules: ['secrets'], do: 'block' },
        { match: ['models/judged'], direction: 'both', do: 'block', judge: { model: 'models/guard', ...category } },
        {
          match: ['models/judged-open'],
          direction: 'in',
          do: 'block',
          judge: { model: 'models/guard', ...category, onFailure: 'open' },
        },
        { match: ['models/posted'], direction: 'both', do: 'block', judge: { url, ...category, deadlineMs: 10_000 } },
        {
          match: ['models/guarded-late'],
          direction: 'out',
          do: 'block',
          judge: { model: 'models/guard', ...category, deadlineMs: 10_000 },
        },
        { match: ['models/judged-late'], direction: 'out', do: 'block', judge: { url, ...category, deadlineMs: 100 } },
        {
          match: ['models/judged-late-open'],
          direction: 'out',
          do: 'block',
          judge: { url, ...category, deadlineMs: 100, onFailure: 'open' },
        },
        { match: ['models/hasty'], do: 'block', judge: { url, ...category, deadlineMs: 100 } },
        { match: ['models/hasty-open'], do: 'block', judge: { url, ...category, deadlineMs: 100, onFailure: 'open' } },
      ],
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  moderation?.closeAllConnections();
  moderation?.close();
  await helm?.close();
  await Promise.all(Object.values(places ?? {}).map(({ standIn }) => standIn.close()));
});
beforeEach(() => {
  judged = [];
  verdict = { status: 200, score: 0.1 };
});

const paths = { chat: '/v1/chat/completions', messages: '/v1/messages', responses: '/v1/responses' };

async function ask(dialect: Dialect, model: string, stream: boolean, prompt = 'Say it.') {
  const messages = [{ role: 'user', content: prompt }];
  const body = dialect === 'responses' ? { input: prompt } : dialect === 'chat' ? { messages } : { messages, max_tokens: 99 };
  const response = await gateway.post(paths[dialect], { ...body, model, stream });
  return { status: response.status, text: await response.text(), retryAfter: response.headers.get('retry-after') };
}

/** What a stream's events say, put together. */
function saidIn(dialect: Dialect, stream: string): string {
  const said = [...stream.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json ?? ''));
  if (dialect === 'chat') return said.map(({ choices }) => choices?.[0]?.delta?.content ?? '').join('');
  if (dialect === 'messages') return said.map(({ delta }) => delta?.text ?? '').join('');
  return said.map(({ type, delta }) => (type === 'response.output_text.delta' ? delta : '')).join('');
}

function expectBlocked(
  dialect: Dialect,
  { status, text: said }: { readonly status: number; readonly text: string },
  rule: string,
): void {
  expect([status, said]).toEqual([400, expect.stringContaining(rule)]);
  const { type, error } = JSON.parse(said);
  if (dialect === 'messages') expect([type, error.type]).toEqual(['error', 'invalid_request_error']);
  else expect(error.code).toBe('content_policy_violation');
}

/** Nobody is to blame for what nobody could look at. */
function expectUnjudged(
  dialect: Dialect,
  { status, text: said, retryAfter }: { readonly status: number; readonly text: string; readonly retryAfter: string | null },
): void {
  expect(Number(retryAfter)).toBeGreaterThan(0);
  expect([status, said]).toEqual([dialect === 'messages' ? 529 : 503, expect.stringContaining('the judge cannot be asked')]);
  const type = dialect === 'messages' ? 'overloaded_error' : 'server_error';
  expect(JSON.parse(said).error).toMatchObject({ type });
}

describe.each(providers)('over %s', (name) => {
  const next = (...scripts: readonly ScriptedReply[]) => places[name].standIn.next(...scripts);
  const heard = () => places[name].standIn.journal.length;

  test.each(dialects)('a secret is blanked out of an answer in %s, however it is cut', async (dialect) => {
    next(says(text));
    const whole = await ask(dialect, `models/redact-${name}`, false);
    expect([whole.status, whole.text]).toEqual([200, expect.stringContaining('[redacted:secrets/aws-access-key]')]);
    expect(whole.text).not.toContain(found);
    for (const chunkLength of [1, 3, 7, 16]) {
      next(says(text, { chunkLength }));
      const streamed = await ask(dialect, `models/redact-${name}`, true);
      expect(saidIn(dialect, streamed.text)).toBe('Here it is: [redacted:secrets/aws-access-key] and good luck.');
      expect(streamed.text).toContain(ends[dialect]);
      expect(streamed.text).not.toContain(found);
    }
  });

  test.each(dialects)('an answer in %s is blocked, in the middle of a stream too, and says so', async (dialect) => {
    next(says(text));
    expectBlocked(dialect, await ask(dialect, `models/block-${name}`, false), 'secrets/aws-access-key');
    for (const chunkLength of [1, 5]) {
      next(says(text, { chunkLength }));
      const { status, text: streamed } = await ask(dialect, `models/block-${name}`, true);
      expect(status).toBe(200);
      expect('Here it is: ').toContain(saidIn(dialect, streamed));
      expect(saidIn(dialect, streamed)).not.toBe('');
      expect(streamed).not.toContain(ends[dialect]);
      const last = streamed.trimEnd().split('\n\n').at(-1) ?? '';
      expect(last).toContain('secrets/aws-access-key');
      expect(JSON.parse(last.slice(last.indexOf('data: ') + 6))).toMatchObject(
        dialect === 'chat'
          ? { error: { code: 'content_policy_violation' } }
          : { type: dialect === 'messages' ? 'error' : expect.stringMatching(/^(error|response\.failed)$/) },
      );
    }
    next(says('Nothing of the kind.', { chunkLength: 5 }));
    const fine = await ask(dialect, `models/block-${name}`, true);
    expect(saidIn(dialect, fine.text)).toBe('Nothing of the kind.');
    expect(fine.text).toContain(ends[dialect]);
  });

  test.each(dialects)('a secret in a prompt in %s does not reach it', async (dialect) => {
    const asked = await ask(dialect, `models/redact-${name}`, false, `Is ${found} a key?`);
    expect(asked.status).toBe(200);
    const sent = places[name].standIn.journal.at(-1)?.bytes.toString();
    expect(sent).toContain('[redacted:secrets/aws-access-key]');
    expect(sent).not.toContain(found);
    const before = heard();
    expectBlocked(dialect, await ask(dialect, `models/block-${name}`, true, `Is ${found} a key?`), 'secrets/aws-access-key');
    expect(heard()).toBe(before);
  });
});

test('both clients read a block as an error of their own', async () => {
  const messages = [{ role: 'user' as const, content: 'Say it.' }];
  places.openai.standIn.next(says(text, { chunkLength: 5 }));
  const chat = gateway.openai().chat.completions.stream({ model: 'models/block-openai', messages }).finalChatCompletion();
  await expect(chat).rejects.toBeInstanceOf(OpenaiSdk.APIError);
  places.openai.standIn.next(says(text, { chunkLength: 5 }));
  const final = gateway.anthropic().messages.stream({ model: 'models/block-openai', messages, max_tokens: 50 }).finalMessage();
  await expect(final).rejects.toBeInstanceOf(AnthropicSdk.APIError);
  places.openai.standIn.next(says(text));
  const whole = gateway.openai().chat.completions.create({ model: 'models/block-openai', messages });
  await expect(whole).rejects.toMatchObject({ status: 400, code: 'content_policy_violation' });
});

test('what no rule needs is not held back', async () => {
  const held = gate();
  places.openai.standIn.next(says('Hello there, and more.', { chunkLength: 6, holds: [{ after: 2, gate: held }] }));
  const stream = await gateway.openai().chat.completions.create({
    model: 'models/redact-openai',
    messages: [{ role: 'user', content: 'x' }],
    stream: true,
  });
  let said = '';
  for await (const { choices } of stream) {
    said += choices[0]?.delta.content ?? '';
    if (said === 'Hello there,') held.open();
  }
  expect(said).toBe('Hello there, and more.');
});

describe('a judge', () => {
  /** It repeats the id that it is given, which nobody knows before it is asked. */
  function judgeSays(score: number): void {
    const { standIn } = places.guard;
    const before = gate();
    const heard = standIn.journal.length;
    const script = says('', { before });
    standIn.next(script);
    void until('the judge is asked', () => standIn.journal.length > heard).then(() => {
      const id = /[0-9a-f]{24}/.exec(standIn.journal.at(-1)?.bytes.toString() ?? '')?.[0];
      Object.assign(script, says(JSON.stringify({ id, scores: { violence: score } })));
      before.open();
    });
  }

  test.each(dialects)('that is a model lets a prompt in %s pass, or blocks it before the model hears of it', async (dialect) => {
    const heard = () => places.openai.standIn.journal.length;
    judgeSays(0.9);
    const before = heard();
    expectBlocked(dialect, await ask(dialect, 'models/judged-open', false), 'judge/violence');
    expect(heard()).toBe(before);
    judgeSays(0.1);
    expect((await ask(dialect, 'models/judged-open', false)).status).toBe(200);
    expect(heard()).toBe(before + 1);
  });

  test('that is a model and cannot be asked blocks, or lets pass where it is told to', async () => {
    places.guard.standIn.next(fails(500));
    expectUnjudged('chat', await ask('chat', 'models/judged', false));
    places.guard.standIn.next(says('I like it.'));
    expect((await ask('chat', 'models/judged-open', false)).status).toBe(200);
  });

  test.each(dialects)(
    'at an address is asked about prompts and answers in %s; a stream ends after its verdict alone',
    async (dialect) => {
      for (const stream of [false, true]) {
        places.openai.standIn.next(says('Calm words.', { chunkLength: 4 }));
        const fine = await ask(dialect, 'models/posted', stream);
        expect([fine.status, fine.text.includes(ends[dialect])]).toEqual([200, stream]);
        expect(JSON.stringify(judged)).toContain('Say it.');
        expect(JSON.stringify(judged)).toContain('Calm words.');
      }
      verdict = { status: 200, score: 0.9 };
      expectBlocked(dialect, await ask(dialect, 'models/posted', true), 'judge/violence');
    },
  );

  test.each([
    ['fails', { status: 500, score: 0 }],
    ['is silent', undefined],
  ])('at an address that %s blocks, or lets pass where it is told to', async (_what, answer) => {
    verdict = answer;
    const before = places.openai.standIn.journal.length;
    for (const dialect of dialects) expectUnjudged(dialect, await ask(dialect, 'models/hasty', false));
    expect(places.openai.standIn.journal.length).toBe(before);
    expect((await ask('messages', 'models/hasty-open', false)).status).toBe(200);
    await until('it is on record', async () => {
      const { calls } = await gateway.ok('GET /audit?capability=models/hasty-open');
      return JSON.stringify(calls).includes('judge/unavailable');
    });
  });

  const away = [
    ['fails', { status: 500, score: 0 }],
    ['is silent', undefined],
    ['answers rubbish', { status: 200, score: 'calm' }],
  ] as const;

  test.each(away)(
    'that %s when it is asked about an answer is nobody’s fault: clients of each dialect may come again',
    async (_what, answer) => {
      for (const dialect of dialects) {
        verdict = answer;
        places.openai.standIn.next(says('Calm words.', { chunkLength: 4 }), says('Calm words.', { chunkLength: 4 }));
        const whole = await ask(dialect, 'models/judged-late', false);
        expectUnjudged(dialect, whole);
        expect(whole.text).not.toContain('Calm words.');
        const streamed = await ask(dialect, 'models/judged-late', true);
        expect([streamed.status, streamed.text.includes(ends[dialect])]).toEqual([200, false]);
        const last = streamed.text.trimEnd().split('\n\n').at(-1) ?? '';
        const error = JSON.parse(last.slice(last.indexOf('data: ') + 6));
        expect(JSON.stringify(error)).toContain('the judge cannot be asked right now. Call again');
        expect(error).toMatchObject(
          dialect === 'chat'
            ? { error: { code: 'judge_unavailable', type: 'server_error' } }
            : dialect === 'messages'
              ? { type: 'error', error: { type: 'overloaded_error' } }
              : { type: 'error', code: 'judge_unavailable' },
        );
        // The same call is answered once the judge is back, and where the line lets pass what it cannot judge.
        verdict = { status: 200, score: 0.1 };
        expect((await ask(dialect, 'models/judged-late', false)).status).toBe(200);
        verdict = answer;
        expect((await ask(dialect, 'models/judged-late-open', false)).status).toBe(200);
      }
    },
  );

  test('that is a model, and answers something else than a verdict, is away in the same way', async () => {
    places.guard.standIn.next(says('I like it.'), says('{"id":"0"}'));
    expectUnjudged('chat', await ask('chat', 'models/guarded-late', false));
    expectUnjudged('messages', await ask('messages', 'models/guarded-late', false));
    judgeSays(0.9);
    expectBlocked('chat', await ask('chat', 'models/guarded-late', false), 'judge/violence');
    judgeSays(0.1);
    expect((await ask('chat', 'models/guarded-late', false)).status).toBe(200);
  });

  test('that is away is told in MCP as a result that says so: of a model when to come again, of a tool to look first', async () => {
    const details = async (tool: string, args: object) => {
      const { body } = await gateway.mcp('', 'tools/call', { name: tool, arguments: args });
      const { isError, content, _meta } = body.result;
      return { isError, text: content[0].text, error: _meta['dev.gatehouse/error'] };
    };
    verdict = undefined;
    const model = await details('models__judged-late', { prompt: 'Say it.' });
    expect(model).toMatchObject({ isError: true, error: { code: 'judge_unavailable', retryAfterMs: 5_000 } });
    expect(model.text).toContain('Call again later');
    const tool = await details('helm__echo', { text: 'north' });
    expect(tool).toMatchObject({ isError: true, error: { code: 'judge_unavailable' } });
    expect(tool.error.retryAfterMs).toBeUndefined();
    expect(tool.text).toContain('was carried out');
    expect(tool.text).toContain('Check what was done');
    verdict = { status: 200, score: 0.1 };
    const { body } = await gateway.mcp('', 'tools/call', { name: 'helm__echo', arguments: { text: 'north' } });
    expect(body.result.isError).not.toBe(true);
  });
});
