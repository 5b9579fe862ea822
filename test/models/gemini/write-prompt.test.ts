import { describe, expect, test } from 'vitest';
import { gemini } from '../../../src/models/gemini/gemini.ts';
import type { Message, Part, Prompt } from '../../../src/models/prompt.ts';
import { objectAt } from '../../../src/models/read-members.ts';
import { promptOf, say, weatherTool } from '../../support/prompts.ts';

const write = (given: Partial<Prompt>, model = 'gemini-2.5-flash') => gemini.writePrompt(promptOf(given), model);
const config = (given: Partial<Prompt>, model?: string) => objectAt(write(given, model), 'generationConfig');
const contents = (messages: readonly Message[], model?: string) => write({ messages }, model).contents;
const assistant = (...parts: Part[]): Message => ({ role: 'assistant', parts });

test('a plain prompt is nothing but its contents', () => {
  expect(write({})).toEqual({ contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] });
});

test('everything that can be said is said in the words of the API reference', () => {
  const written = write({
    system: [
      { kind: 'text', text: 'Be brief.', isCached: true },
      { kind: 'text', text: '' },
    ],
    tools: [weatherTool, { name: 'now', description: undefined, schema: { type: 'object', properties: {} }, isStrict: true }],
    toolChoice: { kind: 'tool', name: 'get_weather' },
    maxTokens: 100,
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    stop: ['END'],
    seed: 7,
    presencePenalty: 0.1,
    frequencyPenalty: 0.2,
    format: { kind: 'schema', name: 'out', description: undefined, schema: { type: 'object', properties: {} }, isStrict: true },
  });
  expect(written).toEqual({
    contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
    systemInstruction: { parts: [{ text: 'Be brief.' }] },
    tools: [
      {
        functionDeclarations: [
          { name: 'get_weather', description: 'Weather of a city', parametersJsonSchema: weatherTool.schema },
          { name: 'now' },
        ],
      },
    ],
    toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['get_weather'] } },
    generationConfig: {
      maxOutputTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      stopSequences: ['END'],
      seed: 7,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object', properties: {} },
    },
  });
});

test.each([
  ['auto', { mode: 'AUTO' }],
  ['none', { mode: 'NONE' }],
  ['required', { mode: 'ANY' }],
] as const)('the tool choice %s has its mode', (kind, mode) => {
  expect(write({ tools: [weatherTool], toolChoice: { kind } }).toolConfig).toEqual({ functionCallingConfig: mode });
  expect(write({ toolChoice: { kind } }).toolConfig).toBeUndefined();
});

test('JSON without a schema is asked for by its media type', () => {
  expect(config({ format: { kind: 'json' } })).toEqual({ responseMimeType: 'application/json' });
});

describe('reasoning', () => {
  const thinking = (reasoning: Prompt['reasoning'], model: string) => config({ reasoning }, model)?.thinkingConfig;
  const effort = (value: 'none' | 'minimal' | 'low' | 'medium' | 'high') => ({ effort: value, budgetTokens: undefined });

  test('is a budget up to the second generation', () => {
    expect(thinking(effort('medium'), 'gemini-2.5-flash')).toEqual({ thinkingBudget: 8_192, includeThoughts: true });
    expect(thinking(effort('none'), 'gemini-2.5-flash')).toEqual({ thinkingBudget: 0, includeThoughts: false });
    expect(thinking(effort('none'), 'gemini-2.5-pro')).toEqual({ thinkingBudget: 128, includeThoughts: false });
  });

  test('is a level from the third on', () => {
    expect(thinking(effort('high'), 'gemini-3-pro-preview')).toEqual({ thinkingLevel: 'HIGH', includeThoughts: true });
    expect(thinking(effort('none'), 'gemini-3-flash')).toEqual({ thinkingLevel: 'MINIMAL', includeThoughts: false });
    expect(thinking(effort('minimal'), 'gemini-3-pro-preview')).toEqual({ thinkingLevel: 'LOW', includeThoughts: true });
  });

  test('keeps a budget that was given', () => {
    expect(thinking({ effort: undefined, budgetTokens: 500 }, 'gemini-3-flash')).toEqual({
      thinkingBudget: 500,
      includeThoughts: true,
    });
    expect(thinking({ effort: undefined, budgetTokens: undefined }, 'gemini-3-flash')).toBeUndefined();
  });
});

describe('contents', () => {
  test('data stand in the request, addresses are named with a media type where it can be told', () => {
    const parts: Part[] = [
      { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'AAAA' } },
      { kind: 'media', mediaType: 'image/*', source: { kind: 'url', url: 'https://example.com/a.JPG?x=1' } },
      { kind: 'media', mediaType: 'image/*', source: { kind: 'url', url: 'https://example.com/a' } },
    ];
    expect(contents([{ role: 'user', parts }])).toEqual([
      {
        role: 'user',
        parts: [
          { inlineData: { mimeType: 'image/png', data: 'AAAA' } },
          { fileData: { mimeType: 'image/jpeg', fileUri: 'https://example.com/a.JPG?x=1' } },
          { fileData: { fileUri: 'https://example.com/a' } },
        ],
      },
    ]);
  });

  test('messages of one role become one turn, and empty texts nothing', () => {
    expect(contents([say('a'), say(''), say('b'), assistant({ kind: 'refusal', text: 'No.' }), say('')])).toEqual([
      { role: 'user', parts: [{ text: 'a' }, { text: 'b' }] },
      { role: 'model', parts: [{ text: 'No.' }] },
    ]);
    expect(() => contents([say('')])).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  const call = (id: string, signature?: string): Part => ({
    kind: 'tool-call',
    id,
    name: 'get_weather',
    arguments: '{"city":"Oslo"}',
    signature,
  });
  const result = (callId: string, isError = false): Part => ({
    kind: 'tool-result',
    callId,
    name: undefined,
    parts: [
      { kind: 'text', text: 'cold' },
      { kind: 'media', mediaType: 'image/png', source: { kind: 'base64', data: 'AAAA' } },
    ],
    isError,
  });
  const image = { inlineData: { mimeType: 'image/png', data: 'AAAA' } };

  test('results find the name of their call, stand first, and their media beside them', () => {
    const written = contents([
      say('?'),
      assistant(call('c1')),
      { role: 'user', parts: [{ kind: 'text', text: 'and?' }, result('c1')] },
    ]);
    expect(written).toEqual([
      { role: 'user', parts: [{ text: '?' }] },
      { role: 'model', parts: [{ functionCall: { id: 'c1', name: 'get_weather', args: { city: 'Oslo' } } }] },
      {
        role: 'user',
        parts: [{ functionResponse: { id: 'c1', name: 'get_weather', response: { output: 'cold' } } }, { text: 'and?' }, image],
      },
    ]);
  });

  test('from the third generation on, media are within a result, and a call whose signature is lost carries the one that passes', () => {
    const written = contents(
      [assistant(call('c1'), call('c2', 'gemini.c2ln')), { role: 'user', parts: [result('c1', true)] }],
      'gemini-3-flash',
    );
    expect(written).toEqual([
      {
        role: 'model',
        parts: [
          {
            functionCall: { id: 'c1', name: 'get_weather', args: { city: 'Oslo' } },
            thoughtSignature: 'skip_thought_signature_validator',
          },
          { functionCall: { id: 'c2', name: 'get_weather', args: { city: 'Oslo' } }, thoughtSignature: 'c2ln' },
        ],
      },
      {
        role: 'user',
        parts: [{ functionResponse: { id: 'c1', name: 'get_weather', response: { error: 'cold' }, parts: [image] } }],
      },
    ]);
  });

  test('a result without its call is refused; arguments that are no object are passed on as text', () => {
    expect(() => contents([{ role: 'user', parts: [result('c9')] }])).toThrow(/no message before it makes/);
    const odd: Part = { kind: 'tool-call', id: 'c1', name: 'f', arguments: '[1' };
    expect(contents([assistant(odd)])).toEqual([
      { role: 'model', parts: [{ functionCall: { id: 'c1', name: 'f', args: { unreadable: '[1' } } }] },
    ]);
  });

  test('thoughts of other makers stay away, its own go back', () => {
    const foreign = assistant({ kind: 'reasoning', text: 'hm', signature: 'ErUB' }, { kind: 'text', text: 'Yes.' });
    expect(contents([foreign])).toEqual([{ role: 'model', parts: [{ text: 'Yes.' }] }]);
    const own = assistant({ kind: 'reasoning', text: 'hm', signature: 'gemini.AAAA' }, { kind: 'text', text: 'Yes.' });
    expect(contents([own])).toEqual([
      { role: 'model', parts: [{ text: 'hm', thought: true, thoughtSignature: 'AAAA' }, { text: 'Yes.' }] },
    ]);
  });
});
