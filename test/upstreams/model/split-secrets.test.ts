import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientDialects } from '../../../src/models/dialects.ts';
import { secretForms } from '../../../src/upstreams/blank-out.ts';
import { SplitSecrets } from '../../../src/upstreams/model/split-secrets.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { ask, openModel, question } from './calling.ts';
import { chatEvent, chatStream, type FarEnd, messagesStream, openStream, responsesStream, startFarEnd } from './far-end.ts';

const secret = 'sk-proj-Ab/1+2s=k-34567890';

let end: FarEnd;
beforeAll(async () => {
  end = await startFarEnd();
});
afterAll(() => end.close());

type Stream = (words: readonly string[]) => readonly string[];
const streams: readonly (readonly [ours: string, theirs: string, Stream])[] = [
  ['chat', 'chat', chatStream],
  ['messages', 'chat', chatStream],
  ['responses', 'chat', chatStream],
  ['messages', 'messages', messagesStream],
  ['chat', 'messages', messagesStream],
  ['responses', 'responses', responsesStream],
  ['chat', 'responses', responsesStream],
];

const providers: Readonly<Record<string, string>> = { chat: 'openai-compatible', responses: 'openai', messages: 'anthropic' };

const bodies: Readonly<Record<string, JsonObject>> = {
  chat: question,
  messages: { ...question, max_tokens: 100 },
  responses: { model: 'models/fast', input: 'Say hello.' },
};

async function stream(ours: string, theirs: string, events: readonly string[]): Promise<string> {
  const { upstream } = await openModel(
    { targets: [{ provider: providers[theirs], model: 'theirs', url: end.url, key: `\${secret:KEY}`, dialects: [theirs] }] },
    { secrets: { KEY: secret } },
  );
  end.does((_heard, response) => void openStream(response).end(events.join('')));
  try {
    const { call, received } = ask(ours, { ...bodies[ours], stream: true });
    await upstream.call(call);
    return received.text;
  } finally {
    await upstream.close();
  }
}

/** What a client puts together of all texts of the stream. */
function said(dialect: string, text: string): string {
  const texts = new Map<string, string>();
  for (const [, data] of text.matchAll(/^data: (\{.*)$/gm)) {
    const slots = clientDialects.get(dialect as 'chat')?.textsOf(JSON.parse(data ?? '')) ?? [];
    for (const slot of slots) texts.set(slot.channel, (texts.get(slot.channel) ?? '') + slot.text);
  }
  return [...texts.values()].join('\n');
}

/** Cut at any places. */
function pieces(text: string): fc.Arbitrary<string[]> {
  return fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: text.length }).map((places) => {
    const cuts = [0, ...places.sort((a, b) => a - b), text.length];
    return cuts.slice(1).map((to, at) => text.slice(cuts[at], to));
  });
}

describe.each(streams)('a client of %s at a provider of %s', (ours, theirs, made) => {
  test('a key that comes back in pieces, however it is cut, is not put together again', async () => {
    const text = `The key is ${secret}, and sk-proj-A is none.`;
    await fc.assert(
      fc.asyncProperty(pieces(text), async (words) => {
        const put = said(ours, await stream(ours, theirs, made(words)));
        expect(put).not.toContain(secret.slice(3));
        expect(put).toMatch(/The key is (s?k?-?)\*{23,26}, and sk-proj-A is none\./);
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 15 : 500 },
    );
  });

  test('what only begins as the key does comes as it was said', async () => {
    const words = ['keys', ' begin with sk-', 'proj-', 'Ab/1', ', ours', ' too: s', 'k', '-', 'p', 'r', 'o!'];
    expect(said(ours, await stream(ours, theirs, made(words)))).toContain(words.join(''));
  });
});

test('a stream in which nothing may be the key passes byte for byte', async () => {
  const events = chatStream(['This is', ' all that was', ' said about sk', 'ies, ä \u{1f600} and "quotes"\\']);
  expect(await stream('chat', 'chat', events)).toBe(events.filter((event) => !event.includes('"choices":[]')).join(''));
});

test('a key in escapes, in two choices at once and in the arguments of a tool is found', async () => {
  const [first, second] = [secret.slice(0, 9), secret.slice(9)];
  const choice = (index: number, content: string) => ({ index, delta: { content }, finish_reason: null });
  const both = (content: string) => chatEvent({}, null, { choices: [choice(0, 'words'), choice(1, content)] });
  const call = (args: string) => chatEvent({ content: 'x', tool_calls: [{ index: 0, function: { arguments: args } }] });
  const escaped = chatEvent({ content: 'sk-pr' }).replace('sk-pr', '\\u0073\\u006b-\\u0070r');
  const events = [
    ...[both(first), both(second), call(`{"a":"${first}`), call(`${second}"}`)],
    ...[escaped, chatEvent({ content: secret.slice(5) }), chatEvent({}, 'stop'), 'data: [DONE]\n\n'],
  ];
  const text = await stream('chat', 'chat', events);
  const put = said('chat', text);
  expect(put).not.toContain(second);
  expect(put).not.toContain(secret.slice(5));
  expect(put.match(/\*{26}/g)).toHaveLength(3);
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
});

describe('a key in pieces that are spelled in another way', () => {
  const [first, second] = ['see sk-proj-Ab/1+', '2s=k-34567890 it is'];
  const say = async (events: readonly string[]) => {
    const text = await stream('chat', 'chat', [...events, chatEvent({}, 'stop'), 'data: [DONE]\n\n']);
    return { text, put: said('chat', text) };
  };
  const call = (more: object) => chatEvent({ tool_calls: [{ index: 0, ...more }] });
  const doubled = (text: string) => chatEvent({ content: 'x' }).replace('"content":"x"', `"content":"","content":"${text}"`);
  const named = (text: string) => chatEvent({ content: text }).replace('"content"', '"c\\u006fntent"');

  test.each([
    ['under a name with an escape', named],
    ['under a name that is there twice', doubled],
    [
      'as arguments with escapes in them',
      (text: string) =>
        call({ function: { arguments: text.replaceAll(/[-+]/g, (sign) => `\\u00${sign === '-' ? '2d' : '2B'}`) } }),
    ],
    ['as arguments with some slashes escaped', (text: string) => call({ function: { arguments: text.replace('/', '\\/') } })],
    ['percent-encoded in part', (text: string) => chatEvent({ content: text.replace('+', '%2b').replace('=', '%3D') })],
  ])('is not put together %s; what is around it is', async (_how, made) => {
    const { put } = await say([made(first), made(second)]);
    expect(put).toMatch(/^see \*+ it is$/);
    const other = [made('see sk-proj-Ab/1+'), made('other words')];
    expect((await say(other)).text.startsWith(other.join(''))).toBe(true);
  });

  test('is not put together of arguments that are cut within escapes', async () => {
    const spelling = [...secret].map((sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
    await fc.assert(
      fc.asyncProperty(pieces(`{"a":"${spelling}"}`), async (words) => {
        const { put } = await say(words.map((word) => call({ function: { arguments: word } })));
        expect(put).not.toContain(spelling.slice(24));
        expect(JSON.parse(put).a).not.toContain(secret.slice(4));
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 15 : 300 },
    );
  });

  const names = (text: string) =>
    [...text.matchAll(/^data: (\{.*)$/gm)].flatMap(([, data]) => JSON.parse(data ?? '').choices[0]?.delta.tool_calls ?? []);

  test.each([
    ['a name with an escape', [{ id: 'call_1', function: { name: secret, arguments: '' } }]],
    ['names in two events', [{ id: 'call_1', function: { name: secret.slice(0, 9) } }, { function: { name: secret.slice(9) } }]],
    ['an id and a name', [{ id: secret.slice(0, 9), function: { name: secret.slice(9), arguments: '' } }]],
  ])('is not in %s of calls', async (_where, calls) => {
    const { text } = await say(calls.map((one) => call(one).replaceAll('proj-', 'proj\\u002d')));
    const put = names(text)
      .map((one) => `${one.id ?? ''}${one.function.name}`)
      .join('');
    expect(put).toMatch(/^(call_1)?\*+$/);
  });

  test('ids and names of other calls come as they were', async () => {
    const events = [
      call({ id: 'sk-proj-1', function: { name: 'sk-proj_tools', arguments: '' } }),
      call({ function: { arguments: '{}' } }),
    ];
    expect((await say(events)).text.startsWith(events.join(''))).toBe(true);
  });
});

describe('what is waited with', () => {
  const event = (content: string) => chatEvent({ content });
  const open = (): { pass: (...texts: string[]) => string; end: () => string } => {
    const dialect = clientDialects.get('chat');
    if (dialect === undefined) throw new Error('no dialect');
    const split = new SplitSecrets(dialect, { secrets: secretForms([secret]) });
    return {
      pass: (...texts) => {
        for (const text of texts) split.saw(text, 0, text.length);
        return split.pass(Buffer.from(texts.map(event).join(''))).toString();
      },
      end: () => split.end().toString(),
    };
  };

  test('is what ends in four characters of the key, no less, and no longer than until it shows', () => {
    const { pass, end: over } = open();
    expect(pass('words')).toBe(event('words'));
    expect(pass('it is sk-')).toBe(event('it is sk-'));
    expect(pass('p')).toBe('');
    expect(pass('x', 'more')).toBe(event('p') + event('x') + event('more'));
    expect(pass('sk-proj')).toBe('');
    expect(over()).toBe(event('sk-proj'));
  });

  test('is given up when the model has gone on to something else; half a key stays covered', () => {
    const dialect = clientDialects.get('chat');
    if (dialect === undefined) throw new Error('no dialect');
    const split = new SplitSecrets(dialect, { secrets: secretForms([secret]) });
    const half = secret.slice(0, 15);
    split.saw(half, 0, half.length);
    expect(split.pass(Buffer.from(event(half))).length).toBe(0);
    const other = chatEvent({ reasoning_content: 'a thought.' });
    let out = '';
    for (let at = 0; at < 8; at++) out += split.pass(Buffer.from(other)).toString();
    expect(out).toBe(event('*'.repeat(15)) + other.repeat(8));
    expect(split.end().length).toBe(0);
  });
});
