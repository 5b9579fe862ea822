import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { beforeAll, describe, expect, it } from 'vitest';
import { estimateTokens, fileTokens, imageTokens, loadTokenizer } from '../../src/models/tokens.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const options = { disallowedSpecial: new Set<string>() };
const exact = (text: string) => countTokens(text, options);
const said = (content: unknown) => ({ model: 'm', messages: [{ role: 'user', content }] }) as JsonObject;
const frames = estimateTokens(said(''), 'chat');
const textTokens = (text: string) => estimateTokens(said(text), 'chat') - frames;

const english = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8');
const code = ['journal/writer.ts', 'catalog/namespace-file.ts', 'catalog/openapi-entry.ts']
  .map((file) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8'))
  .join('');
const json = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8');
const german = 'Die Bearbeitung des Antrags dauert gewöhnlich zwölf Werktage; Rückfragen beantwortet die Geschäftsstelle. ';
const chinese = '请求在到达上游之前经过认证、授权和限流。每一步都会被记录下来，供审计人员查阅。';

/** Kind of text, the text, and how far the estimate may be off, in percent. */
const table: readonly (readonly [string, string, number])[] = [
  ['English, 8 KB', english.slice(0, 8_000), 1],
  ['English, 30 KB', english.repeat(4).slice(0, 30_000), 6],
  ['English, 1 MB', english.repeat(200).slice(0, 1_000_000), 6],
  ['code, 14 KB', code.slice(0, 14_000), 2],
  ['code, 27 KB', code.slice(0, 27_000), 4],
  ['JSON, 10 KB', json.slice(0, 10_000), 2],
  ['JSON, 200 KB', json.slice(0, 200_000), 12],
  ['German, 10 KB', german.repeat(90), 1],
  ['German, 100 KB', german.repeat(900), 4],
  ['Chinese, 10 KB', chinese.repeat(250), 4],
  ['Chinese, 200 KB', chinese.repeat(5_000), 6],
  ['two halves that differ', english.repeat(20).slice(0, 100_000) + chinese.repeat(2_500), 15],
];

describe('an estimate of tokens', () => {
  beforeAll(loadTokenizer);

  it.each(table)('is close to the exact count: %s', (_, text, mostPercent) => {
    const counted = exact(text);
    expect((Math.abs(textTokens(text) - counted) * 100) / counted).toBeLessThanOrEqual(mostPercent);
  });

  it('is close for tools, which the model reads as JSON', () => {
    const parameters = {
      type: 'object',
      properties: {
        city: { type: 'string', description: 'Name of the city' },
        days: { type: 'integer', minimum: 1, maximum: 14 },
      },
      required: ['city'],
      additionalProperties: false,
    };
    const tool = { type: 'function', function: { name: 'get_weather', description: 'Weather of the next days.', parameters } };
    const tools = Array.from({ length: 20 }, () => tool);
    const counted = exact(JSON.stringify(tools));
    const estimated = estimateTokens({ tools } as JsonObject, 'chat');
    expect(Math.abs(estimated - counted) / counted).toBeLessThan(0.25);
  });

  it.each([
    [
      'chat',
      {
        messages: [
          { role: 'system', content: 'one two' },
          { role: 'user', content: [{ type: 'text', text: 'three' }] },
        ],
      },
    ],
    ['responses', { instructions: 'one two', input: [{ role: 'user', content: [{ type: 'input_text', text: 'three' }] }] }],
    ['responses', { instructions: 'one two', input: 'three' }],
    ['completions', { prompt: ['one two', 'three'] }],
    ['messages', { system: [{ type: 'text', text: 'one two' }], messages: [{ role: 'user', content: 'three' }] }],
    ['embeddings', { input: ['one two', 'three'] }],
  ] as const)('reads what is said in %s', (dialect, body) => {
    const estimated = estimateTokens(body as unknown as JsonObject, dialect);
    expect(estimated).toBeGreaterThanOrEqual(3);
    expect(estimated).toBeLessThanOrEqual(14);
  });

  it('counts a prompt that comes in tokens', () => {
    expect(estimateTokens({ input: [[1, 2, 3], [4]] }, 'embeddings')).toBe(4);
    expect(estimateTokens({ prompt: Array.from({ length: 500 }, () => 7) }, 'completions')).toBe(500);
  });

  it('counts images and files by a figure, and never what they hold', () => {
    const data = 'A'.repeat(3_000_000);
    const chat = said([
      { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } },
      { type: 'file', file: { file_data: data } },
    ]);
    expect(estimateTokens(chat, 'chat')).toBe(frames + imageTokens + fileTokens);
    const messages = said([
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data } },
      { type: 'tool_result', tool_use_id: 't', content: [{ type: 'image', source: { type: 'base64', data } }] },
    ]);
    expect(estimateTokens(messages, 'messages')).toBe(frames + 2 * imageTokens);
    expect(estimateTokens(said([{ type: 'image_url', image_url: { url: 'https://x', detail: 'low' } }]), 'chat')).toBeLessThan(
      150,
    );
  });

  it('counts the text of a document that is one', () => {
    const text = said([{ type: 'document', source: { type: 'text', media_type: 'text/plain', data: english.slice(0, 8_000) } }]);
    expect(estimateTokens(text, 'messages')).toBeGreaterThan(exact(english.slice(0, 8_000)));
  });

  it('takes words of special tokens for text', () => {
    expect(textTokens('<|endoftext|>')).toBeGreaterThan(2);
  });

  it.each([
    ['5 MB of one letter', () => said('a'.repeat(5 << 20))],
    ['5 MB of blanks', () => said(' '.repeat(5 << 20))],
    ['2 MB of one Chinese character', () => said('字'.repeat(2 << 20))],
    ['halves of characters', () => said('\ud800'.repeat(1 << 20))],
    ['16 KB of letters without a blank', () => said('qzxj'.repeat(4 << 10))],
    ['200,000 messages', () => ({ messages: Array.from({ length: 200_000 }, () => ({ role: 'user', content: 'a b' })) })],
    ['16,000 one-letter texts', () => ({ input: Array.from({ length: 16_000 }, () => 'x') })],
    ['a list of 300,000 lists', () => ({ input: Array.from({ length: 300_000 }, () => ['x']) })],
  ] as const)('takes a few milliseconds whatever it gets: %s', (_, make) => {
    // As it comes from the wire: one flat text each.
    const body = JSON.parse(JSON.stringify(make())) as JsonObject;
    const dialect = 'input' in body ? 'embeddings' : 'chat';
    const used = Array.from({ length: 5 }, () => {
      const before = process.threadCpuUsage();
      const tokens = estimateTokens(body, dialect);
      const { user, system } = process.threadCpuUsage(before);
      expect(tokens).toBeGreaterThan(0);
      return (user + system) / 1_000;
    });
    // The smallest: compiling and collecting garbage are not what is promised.
    expect(Math.min(...used)).toBeLessThan(8);
  });

  it('walks nesting of any depth', () => {
    let deep: unknown = 'x';
    for (let depth = 0; depth < 200_000; depth++) deep = [deep];
    expect(estimateTokens({ input: deep } as JsonObject, 'responses')).toBeGreaterThan(0);
  });

  it('cannot be deceived about a body of too many values by more than its length says', () => {
    const small = Array.from({ length: 20_000 }, () => ({ role: 'user', content: '' }));
    const body = { messages: [...small, { role: 'user', content: 'word '.repeat(1_000_000) }] };
    expect(estimateTokens(body, 'chat', JSON.stringify(body).length)).toBeGreaterThan(1_000_000);
  });

  it('never throws, and is never negative or a fraction', () => {
    const dialects = ['chat', 'responses', 'completions', 'messages', 'embeddings'] as const;
    const names = ['messages', 'input', 'prompt', 'system', 'tools', 'content', 'type', 'source', 'role', '__proto__', 'text'];
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(fc.constantFrom(...dialects), fc.dictionary(fc.constantFrom(...names), value), (dialect, body) => {
        const tokens = estimateTokens(body as JsonObject, dialect);
        expect(Number.isSafeInteger(tokens) && tokens >= 0).toBe(true);
      }),
    );
  });
});

describe('before the vocabulary is loaded', () => {
  it('text is measured by its length', () => {
    const source = new URL('../../src/models/tokens.ts', import.meta.url).href;
    const script = `const { estimateTokens } = await import(${JSON.stringify(source)});
      console.log(estimateTokens({ prompt: 'word '.repeat(700) }, 'completions'));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect(Number(stdout)).toBe(1_000);
  });
});
