import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { FunctionCallingConfigMode, GoogleGenAI, ThinkingLevel } from '@google/genai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatherReply } from '../../../src/models/gather-reply.ts';
import { geminiEmbeddings } from '../../../src/models/gemini/embeddings.ts';
import { gemini } from '../../../src/models/gemini/gemini.ts';
import { Secret } from '../../../src/secret.ts';
import type { ModelOperation, ProviderTarget } from '../../../src/upstreams/model/provider.ts';
import { gemini as provider } from '../../../src/upstreams/model/providers/gemini.ts';
import { SseReader } from '../../../src/wire/sse.ts';
import { promptOf, weatherTool } from '../../support/prompts.ts';
import { listenOn, type TestServer } from '../../support/upstreams/listen-on.ts';

// Google's own client says what we say, and reads what these tests answer as we read it.

const answers = [
  {
    candidates: [{ content: { role: 'model', parts: [{ text: 'Let me see.', thought: true }] } }],
    responseId: 'r1',
    modelVersion: 'gemini-3-flash',
  },
  { candidates: [{ content: { role: 'model', parts: [{ text: 'It is ' }] } }], responseId: 'r1' },
  {
    candidates: [
      {
        content: {
          role: 'model',
          parts: [{ text: 'cold.' }, { functionCall: { name: 'get_weather', args: { city: 'Oslo' } }, thoughtSignature: 'c2ln' }],
        },
        finishReason: 'STOP',
      },
    ],
    usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 3, thoughtsTokenCount: 2, totalTokenCount: 10 },
  },
];
const stream = answers.map((answer) => `data: ${JSON.stringify(answer)}\r\n\r\n`).join('');

interface Arrived {
  readonly path: string;
  readonly key: string | undefined;
  readonly body: unknown;
}

const arrived: Arrived[] = [];
let server: TestServer;
let client: GoogleGenAI;
beforeAll(async () => {
  const listener = createServer(async (request, response) => {
    const { url: path = '', headers } = request;
    arrived.push({ path, key: headers['x-goog-api-key'] as string | undefined, body: await json(request) });
    if (path.includes('alt=sse')) response.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream);
    else if (path.includes('mbed')) response.end('{"embeddings":[{"values":[1]},{"values":[2]}]}');
    else response.end(JSON.stringify(answers.at(-1)));
  });
  server = await listenOn(listener, 0, '');
  client = new GoogleGenAI({ apiKey: 'AIza-1', vertexai: false, httpOptions: { baseUrl: server.url } });
});
afterAll(() => server.close());

async function addressAndKey(operation: ModelOperation, isStream: boolean, model: string): Promise<Omit<Arrived, 'body'>> {
  const credential = { kind: 'key', key: new Secret('AIza-1') } as const;
  const bare = { region: undefined, apiVersion: undefined, project: undefined, dialects: undefined };
  const target: ProviderTarget = { ...bare, provider: 'gemini', model, url: `${server.url}/v1`, credential };
  const url = provider.addressOf(target, operation, isStream);
  const headers = await provider.authorize(target, { url, body: Buffer.alloc(0), nowMs: 0 });
  return { path: url.pathname + url.search, key: headers['x-goog-api-key'] };
}

test('a prompt is the request that the client sends for the same', async () => {
  const model = 'gemini-3-flash';
  await client.models.generateContent({
    model,
    contents: [
      { role: 'user', parts: [{ text: 'What is it?' }, { inlineData: { mimeType: 'image/png', data: 'AAAA' } }] },
      {
        role: 'model',
        parts: [{ functionCall: { id: 'c1', name: 'get_weather', args: { city: 'Oslo' } }, thoughtSignature: 'c2ln' }],
      },
      { role: 'user', parts: [{ functionResponse: { id: 'c1', name: 'get_weather', response: { output: 'cold' } } }] },
    ],
    config: {
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      tools: [
        {
          functionDeclarations: [
            { name: 'get_weather', description: 'Weather of a city', parametersJsonSchema: weatherTool.schema },
          ],
        },
      ],
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ['get_weather'] } },
      maxOutputTokens: 10,
      temperature: 0.5,
      topP: 0.9,
      topK: 5,
      stopSequences: ['END'],
      seed: 7,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object', properties: { a: { type: 'string' } } },
      thinkingConfig: { thinkingLevel: ThinkingLevel.LOW, includeThoughts: true },
    },
  });
  const written = gemini.writePrompt(
    promptOf({
      system: [{ kind: 'text', text: 'Be brief.' }],
      messages: [
        {
          role: 'user',
          parts: [
            { kind: 'text', text: 'What is it?' },
            { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'AAAA' } },
          ],
        },
        {
          role: 'assistant',
          parts: [{ kind: 'tool-call', id: 'c1', name: 'get_weather', arguments: '{"city":"Oslo"}', signature: 'gemini.c2ln' }],
        },
        {
          role: 'user',
          parts: [
            { kind: 'tool-result', callId: 'c1', name: undefined, parts: [{ kind: 'text', text: 'cold' }], isError: false },
          ],
        },
      ],
      tools: [weatherTool],
      toolChoice: { kind: 'tool', name: 'get_weather' },
      maxTokens: 10,
      temperature: 0.5,
      topP: 0.9,
      topK: 5,
      stop: ['END'],
      seed: 7,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      format: {
        kind: 'schema',
        name: 'out',
        description: undefined,
        schema: { type: 'object', properties: { a: { type: 'string' } } },
        isStrict: true,
      },
      reasoning: { effort: 'low', budgetTokens: undefined },
    }),
    model,
  );
  const [{ body, ...there } = { path: '', key: '', body: undefined }] = arrived.splice(0);
  expect(body).toEqual(written);
  expect(there).toEqual(await addressAndKey({ kind: 'generate', dialect: 'gemini' }, false, model));
});

test('a stream reads as the client reads it', async () => {
  const model = 'gemini-3-flash';
  let [said, calls, tokens] = ['', '', 0];
  for await (const chunk of await client.models.generateContentStream({ model, contents: 'Hi' })) {
    for (const part of chunk.candidates?.[0]?.content?.parts ?? []) if (part.thought !== true) said += part.text ?? '';
    calls += chunk.functionCalls?.map(({ name, args }) => `${name} ${JSON.stringify(args)}`).join() ?? '';
    tokens = chunk.usageMetadata?.totalTokenCount ?? tokens;
  }
  const [there] = arrived.splice(0);
  expect({ path: there?.path, key: there?.key }).toEqual(
    await addressAndKey({ kind: 'generate', dialect: 'gemini' }, true, model),
  );

  const reader = gemini.streamReader();
  const events: Parameters<typeof gatherReply>[0][] = [];
  const sse = new SseReader({ onEvent: ({ type, data }) => events.push(reader.read(type, data.toString())) }, 100_000);
  sse.push(Buffer.from(stream));
  const reply = gatherReply(events.flatMap((some) => [...some]));
  const own = reply.parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  const ownCalls = reply.parts.map((part) => (part.kind === 'tool-call' ? `${part.name} ${part.arguments}` : '')).join('');
  expect([own, ownCalls, reply.usage.input + reply.usage.output]).toEqual([said, calls, tokens]);
  expect(reader.isComplete).toBe(true);
});

test('embeddings are asked for as the client asks for them', async () => {
  const model = 'gemini-embedding-001';
  await client.models.embedContent({ model, contents: ['a', 'b'], config: { outputDimensionality: 8 } });
  const [{ body, ...there } = { path: '', key: '', body: undefined }] = arrived.splice(0);
  const [written] = geminiEmbeddings.writeRequests({ input: ['a', 'b'], dimensions: 8 }, model);
  // It names a role, which a text to embed has none of.
  expect(JSON.parse(JSON.stringify(body).replaceAll('"role":"user",', '').replaceAll(',"role":"user"', ''))).toEqual(written);
  expect(there).toEqual(await addressAndKey({ kind: 'embed' }, false, model));
});
