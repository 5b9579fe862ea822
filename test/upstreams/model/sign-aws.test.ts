import { createServer, type IncomingHttpHeaders, type IncomingMessage, request as sendRequest } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { BedrockRuntimeClient, ConverseCommand, InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime';
import { AwsV4Signer } from 'aws4fetch';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { converse } from '../../../src/models/converse/converse.ts';
import { Secret } from '../../../src/secret.ts';
import type { ProviderTarget } from '../../../src/upstreams/model/provider.ts';
import { bedrock } from '../../../src/upstreams/model/providers/bedrock.ts';
import { type AwsCredential, type SignedRequest, signAws } from '../../../src/upstreams/model/providers/sign-aws.ts';
import { promptOf, weatherTool } from '../../support/prompts.ts';
import { listenOn, type TestServer } from '../../support/upstreams/listen-on.ts';

const credential: AwsCredential = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
  sessionToken: undefined,
};
const empty = Buffer.alloc(0);

describe("a request of Amazon's published examples is signed as they say", () => {
  const vanilla: SignedRequest = {
    method: 'GET',
    url: new URL('https://example.amazonaws.com/'),
    headers: {},
    body: empty,
    region: 'us-east-1',
    service: 'service',
    nowMs: Date.parse('2015-08-30T12:36:00Z'),
  };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const cases: [string, Partial<SignedRequest>, string, string][] = [
    ['get-vanilla', {}, 'host;x-amz-date', '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['post-vanilla', { method: 'POST' }, 'host;x-amz-date', '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'get-vanilla-query-order-key-case',
      { url: new URL('https://example.amazonaws.com/?Param2=value2&Param1=value1') },
      'host;x-amz-date',
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'post-x-www-form-urlencoded',
      { method: 'POST', headers: form, body: Buffer.from('Param1=value1') },
      'content-type;host;x-amz-date',
      'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    ],
    [
      'ListUsers of IAM',
      {
        url: new URL('https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08'),
        headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        service: 'iam',
      },
      'content-type;host;x-amz-date',
      '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
    ],
  ];
  test.each(cases)('%s', (_name, given, names, signature) => {
    const request = { ...vanilla, ...given };
    expect(signAws(request, credential)).toEqual({
      'x-amz-date': '20150830T123600Z',
      authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/${request.service}/aws4_request, SignedHeaders=${names}, Signature=${signature}`,
    });
  });

  test('post-sts-header-before', () => {
    const token =
      'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==';
    const signed = signAws({ ...vanilla, method: 'POST' }, { ...credential, sessionToken: new Secret(token) });
    expect(signed['x-amz-security-token']).toBe(token);
    expect(signed.authorization).toContain('SignedHeaders=host;x-amz-date;x-amz-security-token');
    expect(signed.authorization).toContain('Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead');
  });
});

test('the signature is the one that an independent signer comes to, for every model id, region, body and day', async () => {
  const nowMs = fc
    .date({ min: new Date('2020-01-01'), max: new Date('2090-01-01'), noInvalidDate: true })
    .map((date) => date.getTime());
  const ids = fc.oneof(fc.stringMatching(/^[a-z]{1,8}\.[a-z0-9.:-]{1,30}$/), fc.string({ minLength: 1, maxLength: 30 }));
  await fc.assert(
    fc.asyncProperty(ids, fc.constantFrom('us-east-1', 'eu-central-1'), fc.string(), nowMs, async (model, region, text, now) => {
      const target = targetOf({ model: model.toWellFormed(), region });
      const url = bedrock.addressOf(target, { kind: 'generate', dialect: 'converse' }, false);
      const body = Buffer.from(text);
      const own = await bedrock.authorize(target, { url, body, nowMs: now });
      const { accessKeyId, secretAccessKey } = credential;
      const signer = new AwsV4Signer({
        method: 'POST',
        url: url.href,
        headers: {},
        body,
        accessKeyId,
        secretAccessKey: secretAccessKey.reveal(),
        service: 'bedrock',
        region,
        datetime: own['x-amz-date'] ?? '',
      });
      expect(own.authorization).toBe((await signer.sign()).headers.get('authorization'));
    }),
    { numRuns: process.env.TEST_LONG ? 2_000 : 100 },
  );
});

function targetOf(given: Partial<ProviderTarget>): ProviderTarget {
  return {
    provider: 'bedrock',
    model: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
    url: undefined,
    credential: { kind: 'aws', ...credential },
    region: 'us-east-1',
    apiVersion: undefined,
    project: undefined,
    dialects: undefined,
    ...given,
  };
}

/** Left to itself the client speaks HTTP/2, and signs `:authority` in the place of `host`. */
const overHttp1 = {
  metadata: { handlerProtocol: 'http/1.1' },
  async handle({ hostname, port, path, method, headers, body }: Outgoing) {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    sendRequest({ hostname, port, path, method, headers }, resolve).on('error', reject).end(body);
    const answer = await promise;
    return { response: { statusCode: answer.statusCode ?? 0, headers: {}, body: answer } };
  },
  updateHttpClientConfig() {},
  httpHandlerConfigs: () => ({}),
};

interface Outgoing {
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Uint8Array;
}

interface Arrived {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

describe("against Amazon's own client", () => {
  const arrived: Arrived[] = [];
  let server: TestServer;
  beforeAll(async () => {
    const listener = createServer(async (request, response) => {
      const body = await buffer(request);
      arrived.push({ path: request.url ?? '', headers: request.headers, body });
      response.setHeader('content-type', 'application/json');
      response.end('{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"end_turn","usage":{},"metrics":{}}');
    });
    server = await listenOn(listener, 0, '');
  });
  afterAll(() => server.close());

  function openClient(sessionToken: string | undefined): BedrockRuntimeClient {
    const { accessKeyId, secretAccessKey } = credential;
    const credentials = {
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(),
      ...(sessionToken !== undefined && { sessionToken }),
    };
    return new BedrockRuntimeClient({ region: 'us-east-1', endpoint: server.url, credentials, requestHandler: overHttp1 });
  }

  /** What we would have sent, with the headers and at the time that the client chose. */
  function signAsWe(model: string, { headers, body }: Arrived, sessionToken: string | undefined, action = 'converse') {
    const target = targetOf({ model, url: server.url });
    const operation = action === 'invoke' ? ({ kind: 'embed' } as const) : ({ kind: 'generate', dialect: 'converse' } as const);
    const url = bedrock.addressOf(target, operation, false);
    const names = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split(';') ?? [];
    const own = new Set(['host', 'x-amz-date', 'x-amz-security-token']);
    const signed = Object.fromEntries(names.filter((name) => !own.has(name)).map((name) => [name, String(headers[name])]));
    const time = String(headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
    const request = {
      method: 'POST',
      url,
      headers: signed,
      body,
      region: 'us-east-1',
      service: 'bedrock',
      nowMs: Date.parse(time),
    };
    const token = sessionToken === undefined ? undefined : new Secret(sessionToken);
    return { url, headers: signAws(request, { ...credential, sessionToken: token }) };
  }

  test.each([
    ['anthropic.claude-sonnet-4-5-20250929-v1:0', undefined],
    ['us.amazon.nova-pro-v1:0', 'a session/token+='],
    ['arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-1-20250805-v1:0', undefined],
  ])('%s has the same address and the same signature', async (modelId, sessionToken) => {
    const client = openClient(sessionToken);
    await client.send(new ConverseCommand({ modelId, messages: [{ role: 'user', content: [{ text: "It's (so)!" }] }] }));
    await client.send(new InvokeModelCommand({ modelId, body: Buffer.from('{"inputText":"x"}') }));
    client.destroy();
    const [talked, invoked] = arrived.splice(0);
    for (const [there, action] of [
      [talked, 'converse'],
      [invoked, 'invoke'],
    ] as const) {
      if (there === undefined) throw new Error('nothing arrived');
      const ours = signAsWe(modelId, there, sessionToken, action);
      expect(there.path).toBe(ours.url.pathname);
      expect(there.headers.authorization).toBe(ours.headers.authorization);
      expect(there.headers['x-amz-security-token']).toBe(sessionToken);
    }
  });

  test('a prompt becomes the body that it sends for the same', async () => {
    const client = openClient(undefined);
    const image = Buffer.from('an image');
    await client.send(
      new ConverseCommand({
        modelId: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
        system: [{ text: 'Be brief.' }, { cachePoint: { type: 'default' } }],
        messages: [
          { role: 'user', content: [{ text: 'What is it?' }, { image: { format: 'png', source: { bytes: image } } }] },
          {
            role: 'assistant',
            content: [
              { reasoningContent: { reasoningText: { text: 'hm', signature: 'ErUB' } } },
              { reasoningContent: { redactedContent: Buffer.from('hidden') } },
              { toolUse: { toolUseId: 'c1', name: 'get_weather', input: { city: 'Oslo' } } },
            ],
          },
          { role: 'user', content: [{ toolResult: { toolUseId: 'c1', content: [{ text: 'cold' }], status: 'error' } }] },
        ],
        inferenceConfig: { maxTokens: 10, temperature: 0.5, topP: 0.9, stopSequences: ['END'] },
        toolConfig: {
          tools: [
            { toolSpec: { name: 'get_weather', description: 'Weather of a city', inputSchema: { json: weatherTool.schema } } },
          ],
          toolChoice: { tool: { name: 'get_weather' } },
        },
        additionalModelRequestFields: { top_k: 5 },
        additionalModelResponseFieldPaths: ['/stop_sequence'],
        outputConfig: {
          textFormat: { type: 'json_schema', structure: { jsonSchema: { schema: '{"type":"object"}', name: 'out' } } },
        },
      }),
    );
    client.destroy();
    const prompt = promptOf({
      system: [{ kind: 'text', text: 'Be brief.', isCached: true }],
      messages: [
        {
          role: 'user',
          parts: [
            { kind: 'text', text: 'What is it?' },
            { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: image.toString('base64') } },
          ],
        },
        {
          role: 'assistant',
          parts: [
            { kind: 'reasoning', text: 'hm', signature: 'ErUB' },
            { kind: 'reasoning', text: '', redacted: Buffer.from('hidden').toString('base64') },
            { kind: 'tool-call', id: 'c1', name: 'get_weather', arguments: '{"city":"Oslo"}' },
          ],
        },
        {
          role: 'user',
          parts: [{ kind: 'tool-result', callId: 'c1', name: undefined, parts: [{ kind: 'text', text: 'cold' }], isError: true }],
        },
      ],
      tools: [weatherTool],
      toolChoice: { kind: 'tool', name: 'get_weather' },
      maxTokens: 10,
      temperature: 0.5,
      topP: 0.9,
      topK: 5,
      stop: ['END'],
      format: { kind: 'schema', name: 'out', description: undefined, schema: { type: 'object' }, isStrict: undefined },
    });
    const [there] = arrived.splice(0);
    const written = converse.writePrompt(prompt, 'anthropic.claude-sonnet-4-5-20250929-v1:0');
    expect(JSON.parse(there?.body.toString() ?? '')).toEqual(written);
  });
});
