import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { findCanaries, knownCanary } from '../../support/canaries.ts';
import { type ModelGateway, openModelGateway, type Place, startPlace } from '../../support/model-gateway.ts';
import { type GoogleAccounts, startGoogleAccounts } from '../../support/model-providers/google-accounts.ts';
import { fails, gate, says } from '../../support/model-providers/script.ts';
import { startVertex, type VertexStandIn } from '../../support/model-providers/vertex.ts';
import { until } from '../../support/until.ts';

// Models of Vertex AI with a service account: what clients get, and what becomes of the account's key and of its tokens.

const project = 'p-accounts';
const location = 'europe-west4';
const model = 'models/vertex';
const minuteMs = 60_000;
const hello = says('Grüße aus Bergen.', { chunkLength: 5 });

let nowMs = Date.now();
let accounts: GoogleAccounts;
let vertex: VertexStandIn;
let other: Place;
let gateway: ModelGateway;
let openai: OpenAI;
let anthropic: Anthropic;
/** Everything that clients were told. */
const told: string[] = [];

beforeAll(async () => {
  accounts = await startGoogleAccounts(project, () => nowMs);
  vertex = await startVertex({ project, location, takes: accounts.takes });
  other = await startPlace('openai');
  const target = {
    provider: 'vertex',
    model: 'gemini-3-flash',
    url: `${vertex.url}/v1`,
    location,
    serviceAccount: `\${secret:ACCOUNT}`,
  };
  const calm = { breaker: { minimumCalls: 1_000 }, routing: { failover: { consecutiveErrors: 100, minimumCalls: 1_000 } } };
  gateway = await openModelGateway({
    models: {
      vertex: { ...calm, targets: [target], can: ['text', 'embeddings'] },
      pair: {
        ...calm,
        targets: [
          { ...target, name: 'first' },
          { ...other.target, name: 'second' },
        ],
      },
    },
    places: [other],
    secrets: { ACCOUNT: accounts.account },
    clock: { nowMs: () => nowMs },
  });
  const fetchTold: typeof fetch = async (...given) => {
    const response = await fetch(...given);
    const copy = response.clone();
    told.push(JSON.stringify([...response.headers]), await copy.text());
    return response;
  };
  openai = gateway.openai(undefined, { fetch: fetchTold });
  anthropic = gateway.anthropic(undefined, { fetch: fetchTold });
  vertex.always(hello);
  other.standIn.always(hello);
});
beforeEach(() => {
  // Whatever was got or paused before is over.
  nowMs += 120 * minuteMs;
});
afterEach(() => {
  accounts.answers(undefined);
  accounts.waitFor(undefined);
  vertex.always(hello);
  expect(accounts.faults).toEqual([]);
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([accounts?.close(), vertex?.close(), other?.standIn.close()]);
});

const messages = [{ role: 'user' as const, content: 'Hello?' }];

/** What a call says, by the clients and in the ways that there are. */
const ways: Readonly<Record<string, (name?: string) => Promise<string>>> = {
  'openai, chat': async (name = model) => {
    const { choices } = await openai.chat.completions.create({ model: name, messages });
    return choices[0]?.message.content ?? '';
  },
  'openai, chat, in parts': async (name = model) => {
    let said = '';
    for await (const { choices } of await openai.chat.completions.create({ model: name, messages, stream: true }))
      said += choices[0]?.delta.content ?? '';
    return said;
  },
  'openai, responses': async (name = model) => (await openai.responses.create({ model: name, input: 'Hello?' })).output_text,
  'anthropic, messages': async (name = model) => {
    const { content } = await anthropic.messages.create({ model: name, messages, max_tokens: 100 });
    return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
  },
  'anthropic, messages, in parts': (name = model) =>
    anthropic.messages.stream({ model: name, messages, max_tokens: 100 }).finalText(),
};
const wayNames = Object.keys(ways);
const say = (way: string, name?: string): Promise<string> => ways[way]?.(name) ?? Promise.reject(new Error(way));

/** How often tokens were asked for, and the model, while this ran. */
async function counted<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly asked: number; readonly sent: number }> {
  const [asked, sent] = [accounts.assertions.length, vertex.journal.length];
  const result = await work();
  return { result, asked: accounts.assertions.length - asked, sent: vertex.journal.length - sent };
}

/** As the client has it: the status, and the words. */
async function failureOf(call: Promise<unknown>): Promise<{ readonly status: unknown; readonly message: string }> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof OpenAI.APIError || error instanceof Anthropic.APIError)
    return { status: error.status, message: error.message };
  throw new Error(`no failure, but ${String(error)}`);
}

describe.each(wayNames)('%s', (way) => {
  // Each API has its own status for what is wrong behind it.
  const failed = way.startsWith('anthropic') ? 500 : 502;

  test('an answer comes with a token that the account signed for, and the next call needs no other', async () => {
    const { result, asked, sent } = await counted(async () => [await say(way), await say(way)]);
    expect({ result, asked, sent }).toEqual({ result: ['Grüße aus Bergen.', 'Grüße aus Bergen.'], asked: 1, sent: 2 });
    expect(vertex.journal.at(-1)?.headers.authorization).toBe(`Bearer ${accounts.tokens.at(-1)}`);
  });

  test('a token that was taken back is got anew once, and the call is answered', async () => {
    await say(way);
    accounts.revoke();
    const { result, asked, sent } = await counted(() => say(way));
    expect({ result, asked, sent }).toEqual({ result: 'Grüße aus Bergen.', asked: 1, sent: 2 });
  });

  test('a provider that takes no token at all is not asked for ever, and the operator is named', async () => {
    await say(way);
    vertex.always(fails(401));
    const { result, asked, sent } = await counted(() => failureOf(say(way)));
    expect({ asked, sent, status: result.status }).toEqual({ asked: 1, sent: 2, status: failed });
    expect(result.message).toContain('does not take the credential that Gatehouse has for it (HTTP 401)');
    expect(await counted(() => failureOf(say(way)))).toMatchObject({ asked: 0, sent: 1 });
  });

  test('a token endpoint that refuses the account is said to have done so, and is asked again after five seconds', async () => {
    accounts.answers({ status: 400, body: '{"error":"invalid_grant","error_description":"Invalid JWT Signature."}' });
    const { result, asked, sent } = await counted(async () => [await failureOf(say(way)), await failureOf(say(way))]);
    expect({ asked, sent, statuses: result.map(({ status }) => status) }).toEqual({
      asked: 1,
      sent: 0,
      statuses: [failed, failed],
    });
    for (const { message } of result) {
      expect(message).toContain('was refused an access token (HTTP 400, invalid_grant); look at its service account');
      expect(message).not.toContain('Signature');
    }
    accounts.answers(undefined);
    nowMs += 5_000;
    expect(await say(way)).toBe('Grüße aus Bergen.');
  });
});

test('many calls at once share one token, the first one and the one after a refusal', async () => {
  const open = gate();
  accounts.waitFor(open);
  const many = () => Promise.all(Array.from({ length: 20 }, (_, at) => say(wayNames[at % wayNames.length] ?? '')));
  const { asked, sent } = await counted(async () => {
    const before = accounts.assertions.length;
    const calls = many();
    await until('the token was asked for', () => accounts.assertions.length > before);
    open.open();
    await calls;
  });
  expect({ asked, sent }).toEqual({ asked: 1, sent: 20 });
  accounts.revoke();
  const again = await counted(many);
  expect(again.asked).toBe(1);
  expect(again.sent).toBeLessThanOrEqual(40);
  expect(new Set(again.result)).toEqual(new Set(['Grüße aus Bergen.']));
});

test('a token is renewed before it runs out, and one that has run out is sent to nobody', async () => {
  await say('openai, chat');
  const first = accounts.tokens.at(-1);
  nowMs += 56 * minuteMs;
  await say('openai, chat');
  await until('the next token is there', () => accounts.tokens.at(-1) !== first);
  nowMs += 3 * minuteMs + 30_000;
  const { asked, sent } = await counted(() => say('anthropic, messages, in parts'));
  expect({ asked, sent }).toEqual({ asked: 0, sent: 1 });
  nowMs += 120 * minuteMs;
  expect(await counted(() => say('openai, chat'))).toMatchObject({ asked: 1, sent: 1 });
});

test('where the token endpoint is away another target answers, and where there is none it is said when to call again', async () => {
  for (const status of [500, 503, 429]) {
    nowMs += minuteMs;
    accounts.answers({ status, body: '<html>' });
    expect(await say('openai, chat', 'models/pair')).toBe('Grüße aus Bergen.');
    const { message } = await failureOf(say('openai, chat'));
    expect(message).toContain(`The token endpoint for the vertex model gemini-3-flash answers HTTP ${status}`);
  }
  // An account that is refused is for the operator to see, and not to be hidden by another target.
  nowMs += minuteMs;
  accounts.answers({ status: 401, body: '{"error":"invalid_client"}' });
  expect((await failureOf(say('openai, chat', 'models/pair'))).message).toContain('invalid_client');
});

test('embeddings are made with the same tokens', async () => {
  const { asked } = await counted(async () => {
    await say('openai, chat');
    await openai.embeddings.create({ model, input: 'Hello?', encoding_format: 'float' });
  });
  expect(asked).toBe(1);
});

test('SK-03: neither the key, nor a token, nor what was signed is in an answer, a log or a record', async () => {
  for (const way of wayNames) {
    vertex.always(says('Hello.', { echoes: true, chunkLength: 500 }));
    expect(await say(way)).toContain('Hello.');
    accounts.revoke();
    vertex.always(says('Hello.', { echoes: true, chunkLength: 7 }));
    expect(await say(way)).toContain('Hello.');
    vertex.always(fails(400, { echoes: true }));
    await failureOf(say(way));
    nowMs += minuteMs;
  }
  const pem = accounts.privateKey.split('\n').filter((line) => line.length === 64);
  const canaries = [
    ...accounts.tokens.map((token, at) => knownCanary(`token ${at}`, token)),
    ...pem.map((line, at) => knownCanary(`line ${at} of the key`, line)),
    ...accounts.assertions.map((assertion, at) => knownCanary(`statement ${at}`, assertion.split('.')[2] ?? '')),
  ];
  const sinks = new Map<string, Buffer | string>([
    ['answers', told.join('\n')],
    ['log', gateway.log.join('\n')],
    ['metrics', await (await fetch(`${gateway.url}/metrics`)).text()],
    ['get_model', JSON.stringify(await gateway.ok('GET /models/vertex').catch(() => ''))],
  ]);
  for (const file of readdirSync(gateway.dataDir, { recursive: true, withFileTypes: true }))
    if (file.isFile()) sinks.set(file.name, readFileSync(join(file.parentPath, file.name)));
  expect(findCanaries(canaries, sinks)).toEqual([]);
  // What was looked through is what there is.
  expect(told.join('\n')).toContain('Hello.');
  expect(accounts.tokens.length).toBeGreaterThan(10);
});
