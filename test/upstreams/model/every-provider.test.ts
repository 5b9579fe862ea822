import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ProviderDialect, ProviderDialectName } from '../../../src/models/dialect.ts';
import { providerDialects } from '../../../src/models/dialects.ts';
import { gatherReply } from '../../../src/models/gather-reply.ts';
import type { Message, Part, Prompt } from '../../../src/models/prompt.ts';
import type { Reply, ReplyEvent, Usage } from '../../../src/models/reply.ts';
import { Secret } from '../../../src/secret.ts';
import { AwsEventStreamReader } from '../../../src/upstreams/model/aws-event-stream.ts';
import type { Provider, ProviderTarget } from '../../../src/upstreams/model/provider.ts';
import { openProviders } from '../../../src/upstreams/model/providers.ts';
import { isObject } from '../../../src/wire/json.ts';
import { SseReader } from '../../../src/wire/sse.ts';
import { startAnthropic } from '../../support/model-providers/anthropic.ts';
import { startBedrock } from '../../support/model-providers/bedrock.ts';
import { startGemini } from '../../support/model-providers/gemini.ts';
import { startAzure, startOpenai } from '../../support/model-providers/openai.ts';
import { fails, type ScriptedReply, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';
import { startVertex } from '../../support/model-providers/vertex.ts';

// A provider's address and credentials, a dialect's words, and a stand-in that takes what the provider takes: they fit each other.

interface Case {
  readonly name: ProviderTarget['provider'];
  readonly dialect: ProviderDialectName;
  readonly start: () => Promise<StandIn>;
  readonly target: (standIn: StandIn) => Partial<ProviderTarget>;
}

const key = 'sk-every-provider';
const withKey = { credential: { kind: 'key', key: new Secret(key) } } as const;
const aws = { accessKeyId: 'AKIDEVERY', secretAccessKey: 'c2VjcmV0/+=' };
const signed = { kind: 'aws', ...aws, secretAccessKey: new Secret(aws.secretAccessKey), sessionToken: undefined } as const;
const place = { project: 'p-1', location: 'europe-west4' };
const region = 'eu-central-1';

const v1 = (standIn: StandIn) => ({ ...withKey, url: `${standIn.url}/v1` });
const cases: readonly Case[] = [
  { name: 'openai', dialect: 'chat', start: () => startOpenai({ key, isStrict: true }), target: v1 },
  { name: 'openai', dialect: 'responses', start: () => startOpenai({ key, isStrict: true }), target: v1 },
  { name: 'openai-compatible', dialect: 'chat', start: () => startOpenai({ key }), target: v1 },
  { name: 'azure', dialect: 'chat', start: () => startAzure({ key }), target: ({ url }) => ({ ...withKey, url }) },
  {
    name: 'azure',
    dialect: 'chat',
    start: () => startAzure({ key }),
    target: ({ url }) => ({ ...withKey, url, apiVersion: '2024-10-21' }),
  },
  { name: 'anthropic', dialect: 'messages', start: () => startAnthropic({ key }), target: v1 },
  {
    name: 'gemini',
    dialect: 'gemini',
    start: () => startGemini({ key }),
    target: ({ url }) => ({ ...withKey, url: `${url}/v1beta` }),
  },
  {
    name: 'vertex',
    dialect: 'gemini',
    start: () => startVertex({ ...place, key }),
    target: ({ url }) => ({ ...withKey, url: `${url}/v1`, project: place.project, region: place.location }),
  },
  {
    name: 'bedrock',
    dialect: 'converse',
    start: () => startBedrock({ ...aws, region }),
    target: ({ url }) => ({ credential: signed, url, region }),
  },
];

const models: Readonly<Record<ProviderTarget['provider'], string>> = {
  openai: 'gpt-5-mini',
  azure: 'gpt-5-mini',
  'openai-compatible': 'llama-4',
  anthropic: 'claude-sonnet-4-5',
  gemini: 'gemini-3-flash',
  vertex: 'gemini-3-flash',
  bedrock: 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0',
};

const providers = openProviders({
  fetchJson: () => Promise.reject(new Error('no token has to be got here')),
  mayReach: () => Promise.resolve(false),
});

const words = 'Grüße aus Bergen, 世界 🌍.';
const usage: Usage = { input: 120, output: 40, cacheRead: 20, cacheWrite: 0, reasoning: 0 };
const answer: ScriptedReply = {
  kind: 'reply',
  parts: [
    { kind: 'text', text: words },
    { kind: 'tool-call', id: 'call_1', name: 'look', arguments: { city: 'Bergen' } },
    { kind: 'tool-call', id: 'call_2', name: 'look', arguments: {} },
  ],
  usage,
  chunkLength: 5,
};

const said = (role: Message['role'], ...parts: readonly Part[]): Message => ({ role, parts });
const text = (one: string): Part => ({ kind: 'text', text: one });
const prompt: Prompt = {
  model: 'models/fast',
  system: [{ kind: 'text', text: 'Be brief.' }],
  messages: [
    said('user', text('What is the weather?'), {
      kind: 'media',
      mediaType: 'image/png',
      source: { kind: 'base64', data: 'iVBORw0KGgo=' },
    }),
    said('assistant', text('I look.'), { kind: 'tool-call', id: 'call_0', name: 'look', arguments: '{"city":"Oslo"}' }),
    said('user', {
      kind: 'tool-result',
      callId: 'call_0',
      name: undefined,
      parts: [{ kind: 'text', text: 'Rain.' }],
      isError: false,
    }),
    said('user', text('And in Bergen?')),
  ],
  tools: [
    {
      name: 'look',
      description: 'Looks at the sky',
      schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      isStrict: undefined,
    },
  ],
  toolChoice: { kind: 'auto' },
  parallelTools: undefined,
  maxTokens: 500,
  temperature: undefined,
  topP: undefined,
  topK: undefined,
  stop: ['END'],
  seed: undefined,
  presencePenalty: undefined,
  frequencyPenalty: undefined,
  format: { kind: 'text' },
  reasoning: undefined,
  isStream: false,
  user: 'u-1',
};

describe.each(cases)('$name in $dialect', ({ name, dialect: dialectName, start, target: targetOf }) => {
  let standIn: StandIn;
  let target: ProviderTarget;
  const provider: Provider = providers[name];
  const dialect = providerDialects.get(dialectName)!;

  beforeAll(async () => {
    standIn = await start();
    const nothing = { credential: undefined, region: undefined, apiVersion: undefined, project: undefined, dialects: undefined };
    target = { provider: name, model: models[name], url: undefined, ...nothing, ...targetOf(standIn) };
  });
  afterAll(() => standIn.close());

  async function ask(given: Prompt): Promise<Response> {
    const url = provider.addressOf(target, { kind: 'generate', dialect: dialectName }, given.isStream);
    // Responses has no such thing, and says so.
    const asked = dialectName === 'responses' ? { ...given, stop: [] } : given;
    const body = Buffer.from(JSON.stringify(dialect.writePrompt(asked, target.model)));
    const credentials = await provider.authorize(target, { url, body, nowMs: Date.now() });
    return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...credentials }, body });
  }

  test('a prompt with everything usual in it is taken, and the answer is what was answered', async () => {
    standIn.next(answer);
    const response = await ask(prompt);
    const body: unknown = await response.json();
    expect([response.status, body]).toMatchObject([200, {}]);
    expect(isObject(body) && dialect.usageOf(body)).toEqual(usage);
    expectAnswer(isObject(body) ? dialect.readReply(body) : undefined);
  });

  test('so is one that wants a schema, thoughts, and one call at a time', async () => {
    const schema = { type: 'object', properties: { rain: { type: 'boolean' } }, required: ['rain'], additionalProperties: false };
    const response = await ask({
      ...prompt,
      format: { kind: 'schema', name: 'weather', description: undefined, schema, isStrict: true },
      reasoning: { effort: 'low', budgetTokens: undefined },
      parallelTools: false,
      toolChoice: { kind: 'required' },
      maxTokens: undefined,
      stop: [],
    });
    expect([response.status, await response.json()]).toMatchObject([200, {}]);
  });

  test('so is the stream, whatever it is framed in', async () => {
    standIn.next(answer);
    const response = await ask({ ...prompt, isStream: true });
    expect(response.status).toBe(200);
    const { events, isComplete } = read(provider, dialect, Buffer.from(await response.arrayBuffer()));
    expect(isComplete).toBe(true);
    expectAnswer(gatherReply(events));
    expect(standIn.journal.at(-1)).toMatchObject({ isStream: true, usage, ending: 'complete' });
  });

  test('a stream that ended early is not taken for a whole one', async () => {
    standIn.next(
      says(words, { chunkLength: 5, fault: { after: 2, kind: 'end' } }),
      says(words, { fault: { after: 1, kind: 'error' } }),
    );
    const early = read(provider, dialect, Buffer.from(await (await ask({ ...prompt, isStream: true })).arrayBuffer()));
    expect(early.isComplete).toBe(false);
    const failed = read(provider, dialect, Buffer.from(await (await ask({ ...prompt, isStream: true })).arrayBuffer()));
    expect(failed.isComplete).toBe(false);
    expect(failed.events.at(-1)).toMatchObject({ kind: 'failed' });
  });

  test.each([
    [400, 'bad-request'],
    [403, 'unauthorized'],
    [404, 'not-found'],
    [429, 'rate-limited'],
    [500, 'failed'],
    [503, 'overloaded'],
  ])('a refusal with %d is a failure of kind %s', async (status, kind) => {
    standIn.next(fails(status));
    const response = await ask(prompt);
    const body: unknown = await response.json();
    expect(dialect.readFailure(response.status, isObject(body) ? body : undefined)).toMatchObject({ status, kind });
  });
});

function expectAnswer(reply: Reply | undefined): void {
  const calls = reply?.parts.flatMap((part) => (part.kind === 'tool-call' ? [[part.name, JSON.parse(part.arguments)]] : []));
  expect(reply?.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')).toBe(words);
  expect(calls).toEqual([
    ['look', { city: 'Bergen' }],
    ['look', {}],
  ]);
  expect(reply?.finish).toBe('tool-calls');
  expect(reply?.usage).toEqual(usage);
}

function read(provider: Provider, dialect: ProviderDialect, bytes: Buffer) {
  const reader = dialect.streamReader();
  const events: ReplyEvent[] = [];
  const onEvent = ({ type, data }: { readonly type: string; readonly data: Buffer }) => {
    events.push(...reader.read(type, data.toString()));
  };
  const splitter =
    provider.framing === 'sse' ? new SseReader({ onEvent }, 1_000_000) : new AwsEventStreamReader({ onEvent }, 1_000_000);
  // Chunks cut anywhere, as a network has them.
  for (let at = 0; at < bytes.length; at += 61) splitter.push(bytes.subarray(at, at + 61));
  return { events, isComplete: reader.isComplete };
}
