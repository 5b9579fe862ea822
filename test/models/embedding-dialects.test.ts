import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bedrockEmbeddings } from '../../src/models/converse/embeddings.ts';
import { ReplyError } from '../../src/models/dialect.ts';
import type { EmbeddingDialect } from '../../src/models/embedding-dialect.ts';
import { geminiEmbeddings, vertexEmbeddings } from '../../src/models/gemini/embeddings.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const titan = 'amazon.titan-embed-text-v2:0';
const cohere = 'cohere.embed-v4:0';
const body = { model: 'models/embed', input: ['a', 'b'], dimensions: 256 };

interface Case {
  readonly name: string;
  readonly dialect: EmbeddingDialect;
  readonly model: string;
  readonly requests: readonly JsonObject[];
  readonly answers: readonly JsonObject[];
  readonly inputTokens: number | undefined;
}

const cases: readonly Case[] = [
  {
    name: 'AI Studio',
    dialect: geminiEmbeddings,
    model: 'gemini-embedding-001',
    requests: [
      {
        requests: ['a', 'b'].map((text) => ({
          model: 'models/gemini-embedding-001',
          content: { parts: [{ text }] },
          outputDimensionality: 256,
        })),
      },
    ],
    answers: [{ embeddings: [{ values: [1, 0.5] }, { values: [-1, 0] }] }],
    inputTokens: undefined,
  },
  {
    name: 'Vertex AI, one text at a time',
    dialect: vertexEmbeddings,
    model: 'gemini-embedding-001',
    requests: ['a', 'b'].map((content) => ({ instances: [{ content }], parameters: { outputDimensionality: 256 } })),
    answers: [
      [1, 0.5],
      [-1, 0],
    ].map((values) => ({ predictions: [{ embeddings: { values, statistics: { token_count: 3, truncated: false } } }] })),
    inputTokens: 6,
  },
  {
    name: 'Vertex AI',
    dialect: vertexEmbeddings,
    model: 'text-embedding-005',
    requests: [{ instances: [{ content: 'a' }, { content: 'b' }], parameters: { outputDimensionality: 256 } }],
    answers: [{ predictions: [{ embeddings: { values: [1, 0.5] } }, { embeddings: { values: [-1, 0] } }] }],
    inputTokens: undefined,
  },
  {
    name: 'Titan',
    dialect: bedrockEmbeddings,
    model: titan,
    requests: [
      { inputText: 'a', dimensions: 256 },
      { inputText: 'b', dimensions: 256 },
    ],
    answers: [
      { embedding: [1, 0.5], inputTextTokenCount: 2 },
      { embedding: [-1, 0], inputTextTokenCount: 3 },
    ],
    inputTokens: 5,
  },
  {
    name: 'Cohere',
    dialect: bedrockEmbeddings,
    model: cohere,
    requests: [{ texts: ['a', 'b'], input_type: 'search_document', embedding_types: ['float'], output_dimension: 256 }],
    answers: [
      {
        embeddings: {
          float: [
            [1, 0.5],
            [-1, 0],
          ],
        },
        response_type: 'embeddings_by_type',
      },
    ],
    inputTokens: undefined,
  },
];

describe.each(cases)('embeddings of $name', ({ dialect, model, requests, answers, inputTokens }) => {
  test('are asked for in its words', () => {
    expect(dialect.writeRequests(body, model)).toEqual(requests);
  });

  test("come back in OpenAI's", () => {
    const tokens = inputTokens ?? 0;
    expect(dialect.readReplies(answers, body, model)).toEqual({
      body: {
        object: 'list',
        data: [
          { object: 'embedding', index: 0, embedding: [1, 0.5] },
          { object: 'embedding', index: 1, embedding: [-1, 0] },
        ],
        model,
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      },
      inputTokens,
    });
  });

  test('are packed where the client asks for base64, as its own SDKs do', () => {
    const reply = dialect.readReplies(answers, { ...body, encoding_format: 'base64' }, model);
    const [first] = (reply.body.data as JsonObject[]).map(({ embedding }) => Buffer.from(String(embedding), 'base64'));
    expect([first?.readFloatLE(0), first?.readFloatLE(4), first?.length]).toEqual([1, 0.5, 8]);
  });

  test('are none where there are too few, or where they are no numbers', () => {
    expect(() => dialect.readReplies(answers, { ...body, input: ['a', 'b', 'c'] }, model)).toThrow(ReplyError);
    expect(() => dialect.readReplies([], body, model)).toThrow(ReplyError);
    const spoilt = JSON.parse(JSON.stringify(answers).replace('0.5', '"x"')) as JsonObject[];
    expect(() => dialect.readReplies(spoilt, body, model)).toThrow(ReplyError);
  });

  test('of anything else that is sent are refused with ReplyError at most', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.constantFrom('embeddings', 'predictions', 'embedding', 'x'), fc.jsonValue())),
        (given) => {
          const read = JSON.parse(JSON.stringify(given)) as JsonObject[];
          try {
            dialect.readReplies(read, body, model);
          } catch (error) {
            expect(error).toBeInstanceOf(ReplyError);
          }
        },
      ),
    );
  });
});

test('one text is a list of one, and many are cut into requests that are not too large', () => {
  expect(bedrockEmbeddings.writeRequests({ input: 'a' }, titan)).toEqual([{ inputText: 'a' }]);
  const input = Array.from({ length: 200 }, (_, index) => `text ${index}`);
  expect(bedrockEmbeddings.writeRequests({ input }, cohere).map(({ texts }) => (texts as string[]).length)).toEqual([96, 96, 8]);
});

test.each([[[1, 2, 3]], [[[1, 2]]], [[]], [''], [['a', '']], [null], [undefined], [Array(2_049).fill('a')]])(
  'input that is no text is refused: %j',
  (input) => {
    const given = input === undefined ? {} : { input };
    expect(() => geminiEmbeddings.writeRequests(given as JsonObject, 'm')).toThrow(
      expect.objectContaining({ code: 'invalid_request' }),
    );
  },
);

test('dimensions that cannot be and models that make none are refused', () => {
  for (const dimensions of [0, -1, 1.5, 'x']) {
    expect(() => geminiEmbeddings.writeRequests({ input: 'a', dimensions }, 'm')).toThrow(/dimensions must be/);
  }
  expect(() => bedrockEmbeddings.writeRequests({ input: 'a' }, 'amazon.nova-pro-v1:0')).toThrow(/makes no embeddings/);
});
