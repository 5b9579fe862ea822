import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { passInspected } from '../../src/call/inspect-stream.ts';
import { ContentRefusal } from '../../src/call/screen.ts';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { StreamScreen } from '../../src/content/stream-screen.ts';
import type { TextSlot } from '../../src/models/dialect.ts';
import type { AnswerStream } from '../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const token = `ghp_${'R8kLm2nQ5tVx7zAc4eGh9jBd3fWy6uSpZ1oT'}`;

interface Chunk extends JsonObject {
  choices: { index: number; delta: { content?: string; thought?: string } }[];
}

/** Chunks of chat completions, with a second kind of text. */
const dialect = {
  textsOf: (document: JsonObject): readonly TextSlot[] =>
    ((document as Chunk).choices ?? []).flatMap(({ index, delta }) =>
      (['thought', 'content'] as const).flatMap((member) => {
        const text = delta[member];
        if (text === undefined) return [];
        const replace = (other: string) => {
          delta[member] = other;
        };
        return [{ text, channel: `choices/${index}/${member}`, replace }];
      }),
    ),
};

const eventOf = (document: object) => `data: ${JSON.stringify(document)}\n\n`;
const said = (content: string, index = 0) => eventOf({ id: 'c1', choices: [{ index, delta: { content } }] });
const thought = (text: string) => eventOf({ id: 'c1', choices: [{ index: 0, delta: { thought: text } }] });

function open(action: 'flag' | 'redact' | 'block', categories = ['secrets'] as const) {
  const written: string[] = [];
  const sink: AnswerStream = { write: (bytes) => void written.push(bytes.toString()) };
  const screen = new StreamScreen(makeCategoryCheck('out', categories, action));
  const stream = passInspected(screen, dialect, sink, 'models/fast');
  return { stream, written, out: () => written.join(''), send: (text: string) => stream.write(Buffer.from(text)) };
}

function textOf(sse: string): string {
  return sse
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => (JSON.parse(event.slice(6)) as Chunk).choices.map(({ delta }) => delta.content ?? '').join(''))
    .join('');
}

describe('a streaming answer', () => {
  test('without a finding passes as the very bytes it was, each event when it came', async () => {
    const { send, written, stream } = open('redact');
    const events = [': ping\n\n', 'event: x\ndata: {"choices" : [{"index":0,"delta":{"content":"Down by "}}]}\n\n', said('it.')];
    for (const event of [...events, 'data: [DONE]\n\n']) await send(event);
    expect(written).toEqual([...events, 'data: [DONE]\n\n']);
    await stream.end();
    expect(written).toHaveLength(4);
  });

  test('with a secret over several events loses it, and all else stays', async () => {
    const { send, out, written, stream } = open('redact');
    await send(said('the key is '));
    for (let at = 0; at < token.length; at += 7) await send(said(token.slice(at, at + 7)));
    expect(written).toHaveLength(1);
    await send(`${said(' why') + said(' not?')}data: [DONE]\n\n`);
    await stream.end();
    expect(textOf(out())).toBe('the key is [redacted:secrets/github-token] why not?');
    expect(out().endsWith(`${said(' not?')}data: [DONE]\n\n`)).toBe(true);
    expect(stream.hits).toMatchObject([{ ruleId: 'secrets/github-token', pointer: '/choices/0/content', count: 1 }]);
  });

  test.each(['data:  ', 'data:\t', '\ufeffdata: ', 'data: \ndata: '])(
    'is read behind %j, as its client reads it',
    async (begin) => {
      const { send, out, stream } = open('redact');
      const document = { id: 'c1', choices: [{ index: 0, delta: { content: `Take ${token} with you.` } }] };
      await send(`${begin}${JSON.stringify(document)}\n\n`);
      await stream.end();
      expect(out()).toContain('Take ');
      expect(out()).not.toContain(token);
    },
  );

  test('an event that is rewritten keeps its type and its id', async () => {
    const { send, out, stream } = open('redact');
    await send(`event: delta\nid: 7\n${said(`use ${token} why`)}`);
    await stream.end();
    expect(out()).toBe(`event: delta\nid: 7\n${said('use [redacted:secrets/github-token] why')}`);
  });

  test('a rule that blocks ends it: what stood before goes out, and nothing behind', async () => {
    const { send, out, stream } = open('block');
    await send(said('fine so far. '));
    const refused = async () => {
      await send(said(`use ${token} why`));
    };
    await expect(refused()).rejects.toThrow(ContentRefusal);
    await expect(refused()).rejects.toThrow(/models\/fast.*secrets\/github-token/);
    expect(() => stream.end()).toThrow(ContentRefusal);
    expect(out()).toBe(said('fine so far. '));
    expect(stream.hits).toMatchObject([{ ruleId: 'secrets/github-token', action: 'block' }]);
  });

  test('a rule that flags holds nothing', async () => {
    const { send, written, stream } = open('flag');
    await send(said(token.slice(0, 20)));
    await send(said(token.slice(20)));
    expect(written).toHaveLength(2);
    await stream.end();
    expect(stream.hits).toMatchObject([{ ruleId: 'secrets/github-token', action: 'flag' }]);
  });

  test('events without text wait for those before them, and go out at the end at the latest', async () => {
    const { send, out, stream } = open('redact');
    await send(said('gh'));
    await send('event: ping\ndata: {}\n\n');
    await send('data: [DONE]\n\n');
    expect(out()).toBe('');
    await stream.end();
    expect(out()).toBe(`${said('gh')}event: ping\ndata: {}\n\ndata: [DONE]\n\n`);
  });

  test('a channel that the model has left is not waited for long', async () => {
    const { send, written, out, stream } = open('redact');
    await send(thought('I have the token: gh'));
    for (let turn = 0; turn < 12; turn++) await send(said(`${turn} `));
    expect(written.length).toBeGreaterThan(3);
    await stream.end();
    expect(textOf(out())).toBe(Array.from({ length: 12 }, (_, turn) => `${turn} `).join(''));
  });

  test('whoever reads slowly is waited for, also where the answer is ended', async () => {
    let release = () => {};
    const sink = { write: () => new Promise<void>((resolve) => (release = resolve)) };
    const stream = passInspected(new StreamScreen(makeCategoryCheck('out', ['secrets'], 'block')), dialect, sink, 'models/fast');
    const refused = stream.write(Buffer.from(said('fine. ') + said(`${token} why`)));
    release();
    await expect(refused).rejects.toThrow(ContentRefusal);
  });

  test.each([['data: {"choices":[\n\n'], [`data: {"a":"${'x'.repeat(17 * 1024 * 1024)}`]])(
    'what cannot be read is not passed on',
    (event) => {
      const { send, out } = open('redact');
      expect(() => send(event)).toThrow(expect.objectContaining({ code: 'upstream_failed' }));
      expect(out()).toBe('');
    },
  );

  test('bytes cut anywhere, and any mix of channels, come out as events judged whole', async () => {
    const piece = fc.oneof(fc.string({ unit: fc.constantFrom(...'abc gh.äé😀'), maxLength: 8 }), fc.constant(` ${token} `));
    const turns = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), piece), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(
        turns,
        fc.integer({ min: 1, max: 200 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        async (given, length, newline) => {
          const { stream, out } = open('redact');
          const sent = given
            .map(([index, text]) => said(text, index))
            .join('')
            .replaceAll('\n', newline);
          const bytes = Buffer.from(sent);
          // On a busy machine even a short text is judged in more than one turn.
          for (let at = 0; at < bytes.length; at += length) await stream.write(bytes.subarray(at, at + length));
          await stream.end();
          expect(out().split(/(?:\r\n|\r|\n){2}/)).toHaveLength(given.length + 1);
          expect(out()).not.toContain(token);
          if (stream.hits.length === 0) expect(out()).toBe(sent);
        },
      ),
    );
  });
});
