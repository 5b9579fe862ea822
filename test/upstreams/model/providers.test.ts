import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/secret.ts';
import type { ModelOperation, ProviderTarget } from '../../../src/upstreams/model/provider.ts';
import { openProviders } from '../../../src/upstreams/model/providers.ts';
import { modelProviderContract, type ProviderCase } from '../../contracts/model-provider.contract.ts';

const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});
const account = JSON.stringify({
  client_email: 'gate@proj.iam.gserviceaccount.com',
  private_key: privateKey,
  project_id: 'proj-1',
});
const key = (text: string) => ({ kind: 'key', key: new Secret(text) }) as const;

const providers = openProviders({
  fetchJson: async () => ({ status: 200, body: { access_token: 'ya29.token', expires_in: 3_600, token_type: 'Bearer' } }),
  mayReach: async () => true,
});

const bare: Omit<ProviderTarget, 'provider' | 'model'> = {
  url: undefined,
  credential: undefined,
  region: undefined,
  apiVersion: undefined,
  project: undefined,
  dialects: undefined,
};

const cases: readonly (ProviderCase & { readonly title?: string })[] = [
  {
    target: { ...bare, provider: 'openai', model: 'gpt-5-mini', credential: key('sk-1234') },
    secrets: ['sk-1234'],
    host: 'api.openai.com',
    canEmbed: true,
    needsCredential: true,
  },
  {
    target: { ...bare, provider: 'azure', model: 'my-gpt', url: 'https://me.openai.azure.com', credential: key('az-1234') },
    secrets: ['az-1234'],
    host: 'me.openai.azure.com',
    canEmbed: true,
    needsCredential: true,
  },
  {
    title: 'azure with an API version',
    target: {
      ...bare,
      provider: 'azure',
      model: 'my-gpt',
      url: 'https://me.openai.azure.com/openai/',
      apiVersion: '2024-10-21',
      credential: key('az-1234'),
    },
    secrets: ['az-1234'],
    host: 'me.openai.azure.com',
    canEmbed: true,
    needsCredential: true,
  },
  {
    target: { ...bare, provider: 'openai-compatible', model: 'qwen3', url: 'http://127.0.0.1:11434/v1' },
    secrets: [],
    host: '127.0.0.1:11434',
    canEmbed: true,
    needsCredential: false,
  },
  {
    target: { ...bare, provider: 'anthropic', model: 'claude-sonnet-4-5', credential: key('sk-ant-1234') },
    secrets: ['sk-ant-1234'],
    host: 'api.anthropic.com',
    canEmbed: false,
    needsCredential: true,
  },
  {
    target: { ...bare, provider: 'gemini', model: 'gemini-3-flash', credential: key('AIza1234') },
    secrets: ['AIza1234'],
    host: 'generativelanguage.googleapis.com',
    canEmbed: true,
    needsCredential: true,
  },
  {
    target: {
      ...bare,
      provider: 'vertex',
      model: 'gemini-3-flash',
      region: 'europe-west4',
      credential: { kind: 'google', account: new Secret(account) },
    },
    secrets: [privateKey, 'PRIVATE KEY', 'ya29.token'],
    host: 'europe-west4-aiplatform.googleapis.com',
    canEmbed: true,
    needsCredential: true,
  },
  {
    target: {
      ...bare,
      provider: 'bedrock',
      model: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
      region: 'us-east-1',
      credential: {
        kind: 'aws',
        accessKeyId: 'AKIDEXAMPLE',
        secretAccessKey: new Secret('wJalrXUtnFEMI'),
        sessionToken: new Secret('session-1234'),
      },
    },
    secrets: ['wJalrXUtnFEMI', 'session-1234'],
    host: 'bedrock-runtime.us-east-1.amazonaws.com',
    canEmbed: true,
    needsCredential: true,
  },
];

for (const one of cases) modelProviderContract(one.title ?? one.target.provider, providers[one.target.provider], one);

test('every provider is under the contract, by its own name', () => {
  expect(new Set(cases.map(({ target }) => target.provider))).toEqual(new Set(Object.keys(providers)));
  expect(Object.entries(providers).filter(([name, provider]) => name !== provider.name)).toEqual([]);
});

function addressOf(
  given: Partial<ProviderTarget> & Pick<ProviderTarget, 'provider'>,
  operation: ModelOperation,
  isStream = false,
): string {
  const target = { ...bare, model: 'm', ...given };
  return providers[target.provider].addressOf(target, operation, isStream).href;
}

const generate = (dialect: 'chat' | 'responses' | 'completions' | 'messages' | 'gemini' | 'converse') =>
  ({ kind: 'generate', dialect }) as const;
const embed = { kind: 'embed' } as const;
const azureUrl = 'https://me.openai.azure.com';

test.each<[Parameters<typeof addressOf>[0], ModelOperation, boolean, string]>([
  [{ provider: 'openai' }, generate('chat'), false, 'https://api.openai.com/v1/chat/completions'],
  [{ provider: 'openai' }, generate('responses'), true, 'https://api.openai.com/v1/responses'],
  [{ provider: 'openai' }, { kind: 'count', dialect: 'responses' }, false, 'https://api.openai.com/v1/responses/input_tokens'],
  [{ provider: 'openai' }, embed, false, 'https://api.openai.com/v1/embeddings'],
  [
    { provider: 'openai-compatible', url: 'http://vllm:8000/v1/' },
    generate('completions'),
    true,
    'http://vllm:8000/v1/completions',
  ],
  [{ provider: 'azure', url: azureUrl }, generate('chat'), true, `${azureUrl}/openai/v1/chat/completions`],
  [{ provider: 'azure', url: `${azureUrl}/openai/v1/` }, embed, false, `${azureUrl}/openai/v1/embeddings`],
  [
    { provider: 'azure', url: azureUrl, apiVersion: 'preview' },
    generate('responses'),
    false,
    `${azureUrl}/openai/v1/responses?api-version=preview`,
  ],
  [
    { provider: 'azure', url: azureUrl, apiVersion: '2024-10-21', model: 'my gpt' },
    generate('chat'),
    false,
    `${azureUrl}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21`,
  ],
  [
    { provider: 'azure', url: azureUrl, apiVersion: '2025-04-01-preview' },
    generate('responses'),
    false,
    `${azureUrl}/openai/responses?api-version=2025-04-01-preview`,
  ],
  [{ provider: 'anthropic' }, generate('messages'), true, 'https://api.anthropic.com/v1/messages'],
  [
    { provider: 'anthropic' },
    { kind: 'count', dialect: 'messages' },
    false,
    'https://api.anthropic.com/v1/messages/count_tokens',
  ],
  [{ provider: 'gemini' }, generate('gemini'), false, 'https://generativelanguage.googleapis.com/v1/models/m:generateContent'],
  [
    { provider: 'gemini', model: 'tunedModels/mine', apiVersion: 'v1beta' },
    generate('gemini'),
    true,
    'https://generativelanguage.googleapis.com/v1beta/tunedModels/mine:streamGenerateContent?alt=sse',
  ],
  [
    { provider: 'gemini', model: 'models/m' },
    embed,
    false,
    'https://generativelanguage.googleapis.com/v1/models/m:batchEmbedContents',
  ],
  [{ provider: 'gemini' }, generate('chat'), false, 'https://generativelanguage.googleapis.com/v1beta/openai/chat/completions'],
  [
    { provider: 'vertex', project: 'p-1', region: 'us-central1' },
    generate('gemini'),
    true,
    'https://us-central1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-central1/publishers/google/models/m:streamGenerateContent?alt=sse',
  ],
  [
    { provider: 'vertex', project: 'p-1' },
    generate('gemini'),
    false,
    'https://aiplatform.googleapis.com/v1/projects/p-1/locations/global/publishers/google/models/m:generateContent',
  ],
  [
    { provider: 'vertex', project: 'p-1', region: 'eu' },
    embed,
    false,
    'https://aiplatform.eu.rep.googleapis.com/v1/projects/p-1/locations/eu/publishers/google/models/m:predict',
  ],
  [
    { provider: 'vertex', project: 'p-1' },
    generate('chat'),
    false,
    'https://aiplatform.googleapis.com/v1/projects/p-1/locations/global/endpoints/openapi/chat/completions',
  ],
  [
    { provider: 'bedrock', region: 'eu-west-1' },
    generate('converse'),
    false,
    'https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse',
  ],
  [
    { provider: 'bedrock', region: 'cn-north-1', model: 'a.b:0' },
    generate('converse'),
    true,
    'https://bedrock-runtime.cn-north-1.amazonaws.com.cn/model/a.b%3A0/converse-stream',
  ],
  [{ provider: 'bedrock', region: 'us-east-1' }, embed, false, 'https://bedrock-runtime.us-east-1.amazonaws.com/model/m/invoke'],
])('%j %j (stream: %s) is at %s', (target, operation, isStream, expected) => {
  expect(addressOf(target, operation, isStream)).toBe(expected);
});

test.each<Parameters<typeof addressOf>[0]>([
  { provider: 'azure' },
  { provider: 'openai-compatible' },
  { provider: 'bedrock' },
  { provider: 'bedrock', region: 'evil.example/x' },
  { provider: 'vertex' },
  { provider: 'gemini', apiVersion: '../x' },
  { provider: 'vertex', project: '../x' },
  { provider: 'vertex', project: 'p-1', region: 'us.evil.example' },
])('%j lacks something that it needs', (target) => {
  const dialect = providers[target.provider].dialectsOf({ ...bare, model: 'm', ...target })[0] ?? 'chat';
  expect(() => addressOf(target, { kind: 'generate', dialect })).toThrow(expect.objectContaining({ code: 'bad_configuration' }));
});

describe('headers', () => {
  const headersOf = async (target: ProviderTarget, operation: ModelOperation, clientHeaders?: Record<string, string>) => {
    const url = providers[target.provider].addressOf(target, operation, false);
    return providers[target.provider].authorize(target, { url, body: Buffer.from('{}'), nowMs: Date.now(), clientHeaders });
  };
  const target = (provider: ProviderTarget['provider'], more: Partial<ProviderTarget> = {}): ProviderTarget => ({
    ...bare,
    provider,
    model: 'm',
    credential: key('k-1'),
    ...more,
  });

  test('are those that each provider names', async () => {
    expect(await headersOf(target('openai'), generate('chat'))).toEqual({ authorization: 'Bearer k-1' });
    expect(await headersOf(target('azure', { url: azureUrl }), generate('chat'))).toEqual({ 'api-key': 'k-1' });
    expect(await headersOf(target('gemini'), generate('gemini'))).toEqual({ 'x-goog-api-key': 'k-1' });
    expect(await headersOf(target('gemini'), generate('chat'))).toEqual({ authorization: 'Bearer k-1' });
    expect(await headersOf(target('vertex', { project: 'p' }), generate('gemini'))).toEqual({ 'x-goog-api-key': 'k-1' });
    expect(await headersOf(target('bedrock', { region: 'us-east-1' }), generate('converse'))).toEqual({
      authorization: 'Bearer k-1',
    });
    const compatible = target('openai-compatible', { url: 'http://vllm/v1' });
    expect(await headersOf(compatible, generate('chat'))).toEqual({ authorization: 'Bearer k-1' });
    expect(await headersOf({ ...compatible, credential: undefined }, generate('chat'))).toEqual({});
  });

  test('of Anthropic carry on what a client names in anthropic-beta, and nothing else of it', async () => {
    const own = { 'x-api-key': 'k-1', 'anthropic-version': '2023-06-01' };
    const operation = generate('messages');
    expect(await headersOf(target('anthropic'), operation)).toEqual(own);
    const said = {
      'anthropic-beta': 'files-api-2025-04-14, context-1m-2025-08-07',
      'x-api-key': 'other',
      'anthropic-version': 'x',
    };
    expect(await headersOf(target('anthropic'), operation, said)).toEqual({ ...own, 'anthropic-beta': said['anthropic-beta'] });
    const newer = { 'anthropic-version': '2026-01-31' };
    expect(await headersOf(target('anthropic'), operation, newer)).toEqual({ ...own, ...newer });
    // What the operator says counts more.
    const pinned = target('anthropic', { apiVersion: '2025-02-02' });
    expect(await headersOf(pinned, operation, newer)).toEqual({ ...own, 'anthropic-version': '2025-02-02' });
    for (const bad of ['a\r\nx: y', '', 'a'.repeat(2_000), 'ü']) {
      expect(await headersOf(target('anthropic'), operation, { 'anthropic-beta': bad })).toEqual(own);
    }
  });

  test('need no waiting where nothing has to be got first', () => {
    for (const one of cases.filter(({ target: { provider } }) => provider !== 'vertex')) {
      const provider = providers[one.target.provider];
      const [dialect = 'chat'] = provider.dialectsOf(one.target);
      const url = provider.addressOf(one.target, generate(dialect), false);
      expect(provider.authorize(one.target, { url, body: Buffer.alloc(0), nowMs: 0 })).not.toBeInstanceOf(Promise);
    }
  });
});

test('an OpenAI model that can only complete is asked to', () => {
  expect(providers.openai.dialectsOf({ ...bare, provider: 'openai', model: 'gpt-3.5-turbo-instruct' })).toEqual(['completions']);
  expect(providers.openai.dialectsOf({ ...bare, provider: 'openai', model: 'gpt-5' })).toEqual(['chat', 'responses']);
});
