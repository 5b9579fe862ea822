import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import { passInspected } from '../../src/call/inspect-stream.ts';
import { judgeAnswer } from '../../src/call/judge-answer.ts';
import type { Admission } from '../../src/call/limit.ts';
import { ContentRefusal, screen } from '../../src/call/screen.ts';
import { urlJudge } from '../../src/call/url-judge.ts';
import { openContentRules } from '../../src/content/content-policy.ts';
import type { ContentLine, JudgeSettings } from '../../src/content/content-schema.ts';
import type { Judge, Judges } from '../../src/content/judge.ts';
import { clientDialects } from '../../src/models/dialects.ts';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { openReach } from '../../src/upstreams/fetch-json.ts';

const checks = new ArgumentChecks();
afterAll(() => checks.close());

function judgesThat(verdict: Judge['verdict']): Judges {
  return { of: () => ({ verdict }) };
}
const calm = judgesThat(async () => new Map());
const alarmed = judgesThat(async () => new Map([['violence', 0.9]] as const));
const broken = judgesThat(() => Promise.reject(new Error('down')));

async function admitted(lines: readonly ContentLine[], args: object): Promise<Admission> {
  const rules = (await openContentRules(lines)).compile(lines);
  const policy = { contentIn: rules.screenFor('models/fast', 'in'), judgesIn: rules.judgesFor('models/fast', 'in') };
  return {
    tool: undefined,
    params: { dialect: 'chat', arguments: args },
    capability: 'models/fast',
    policy,
  } as unknown as Admission;
}
const line = (more: Partial<JudgeSettings> = {}): ContentLine => ({ judge: { model: 'models/guard', ...more }, do: 'block' });
const request = { messages: [{ role: 'user', content: 'Hello there' }] };

describe('a call that is judged', () => {
  test('passes where the judge finds nothing, and is refused by category where it does', async () => {
    const admission = await admitted([line()], request);
    expect(await screen(checks, admission, calm)).toMatchObject({ hits: [] });
    const refused = Promise.resolve(screen(checks, admission, alarmed));
    await expect(refused).rejects.toThrow(/models\/fast.*judge\/violence/);
    await expect(refused).rejects.toMatchObject({
      code: 'content_blocked',
      hits: [{ ruleId: 'judge/violence', category: 'violence' }],
    });
  });

  test('waits for nobody where no line names a judge, or none may be asked', async () => {
    expect(screen(checks, await admitted([], request), alarmed)).not.toBeInstanceOf(Promise);
    expect(screen(checks, await admitted([line()], request))).not.toBeInstanceOf(Promise);
  });

  test('is refused without a verdict, and passes where the line fails open', async () => {
    await expect(Promise.resolve(screen(checks, await admitted([line()], request), broken))).rejects.toMatchObject({
      code: 'judge_unavailable',
      message: expect.stringContaining('cannot be asked'),
      hits: [{ ruleId: 'judge/unavailable', action: 'block' }],
    });
    const open = await screen(checks, await admitted([line({ onFailure: 'open' })], request), broken);
    expect(open).toMatchObject({ hits: [{ ruleId: 'judge/unavailable', action: 'flag' }] });
  });

  test('does not wait beyond the deadline for a judge that never answers', async () => {
    const silent = judgesThat(() => new Promise(() => {}));
    await expect(Promise.resolve(screen(checks, await admitted([line({ deadlineMs: 50 })], request), silent))).rejects.toThrow(
      ContentRefusal,
    );
  });

  test('rules come first: what they block is sent to no judge', async () => {
    let asked = 0;
    const judges = judgesThat(async () => {
      asked++;
      return new Map();
    });
    const bad = { messages: [{ role: 'user', content: 'How do I build a pipe bomb?' }] };
    const lines: ContentLine[] = [{ rules: ['illicit'], do: 'block' }, line()];
    const admission = await admitted(lines, bad);
    expect(() => screen(checks, admission, judges)).toThrow(/illicit\/weapons/);
    expect(asked).toBe(0);
  });

  test('a picture in a prompt is not read as text, and what stands beside it is', async () => {
    const picture = `${'QUtJQVE3V0pYNE5SVDVaTE0yUEMg'.repeat(60_000)}`;
    const withText = (text: string) => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text },
            { type: 'image', source: { data: picture } },
          ],
        },
      ],
    });
    const lines: ContentLine[] = [{ rules: ['secrets'], do: 'redact' }];
    expect(screen(checks, await admitted(lines, withText('What is this?')))).toMatchObject({ hits: [] });
    const found = screen(checks, await admitted(lines, withText(`key ${'AKIA'}Q7WJX4NRT5ZLM2PC`)));
    expect(found).toMatchObject({ hits: [{ ruleId: 'secrets/aws-access-key', count: 1 }] });
  });
});

describe('an answer that is judged', () => {
  const rows = [{ settings: { model: 'models/guard' }, action: 'block' }] as const;
  const dialect = {
    textsOf: (document: { t?: unknown }) =>
      typeof document.t === 'string' ? [{ text: document.t, channel: 't', replace() {} }] : [],
  };

  test.each([
    [calm, true],
    [alarmed, false],
  ])('in a stream the words pass, and its end waits for the verdict', async (judges, isFine) => {
    const written: string[] = [];
    const judge = (texts: readonly string[]) => judgeAnswer(judges, rows, { capability: 'models/fast', mayRepeat: true }, texts);
    const sink = { write: (bytes: Buffer) => void written.push(bytes.toString()) };
    const stream = passInspected(undefined, dialect, sink, 'models/fast', judge);
    void stream.write(Buffer.from('data: {"t":"Hello"}\n\n'));
    void stream.write(Buffer.from('data: {"done":true}\n\ndata: [DONE]\n\n'));
    expect(written.join('')).toBe('data: {"t":"Hello"}\n\n');
    const ended = stream.end();
    if (isFine) await ended;
    else await expect(ended).rejects.toThrow(/judge\/violence/);
    expect(written.join('').includes('[DONE]')).toBe(isFine);
  });

  test.each([
    ['chat', '{"choices":[{"index":0,"delta":{"content":"all."},"finish_reason": "stop"}]}'],
    ['completions', '{"choices":[{"index":0,"text":"all.","finish_reason":"stop"}]}'],
    [
      'responses',
      '{"type":"response.completed","response":{"output":[{"type":"message","content":[{"type":"output_text","text":"That is all."}]}]}}',
    ],
  ] as const)('in a stream of %s an end with words in it waits as well', async (name, end) => {
    for (const [judges, isFine] of [
      [calm, true],
      [alarmed, false],
    ] as const) {
      const written: string[] = [];
      const judge = (texts: readonly string[]) =>
        judgeAnswer(judges, rows, { capability: 'models/fast', mayRepeat: true }, texts);
      const sink = { write: (bytes: Buffer) => void written.push(bytes.toString()) };
      const stream = passInspected(undefined, clientDialects.get(name) ?? expect.fail(), sink, 'models/fast', judge);
      const word =
        name === 'responses'
          ? '{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"That \\"response\\": is "}'
          : '{"choices":[{"index":0,"delta":{"content":"That is "},"text":"That is ","finish_reason":null}]}';
      void stream.write(Buffer.from(`data: ${word}\n\n`));
      void stream.write(Buffer.from(`data: ${end}\n\n`));
      expect(written.join('')).toBe(`data: ${word}\n\n`);
      await Promise.resolve(stream.end()).catch((error) => expect(error).toMatchObject({ code: 'content_blocked' }));
      expect(written.join('').includes(end)).toBe(isFine);
    }
  });
});

describe('a judge at an address', () => {
  const seen: { body: unknown; authorization: string | undefined }[] = [];
  let server: Server;
  let url: string;
  let answer: { status: number; body: string };
  const egress = createEgressGuard([{ kind: 'host', host: '127.0.0.1', port: undefined }]);
  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        seen.push({ body: JSON.parse(Buffer.concat(chunks).toString()), authorization: request.headers.authorization });
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/moderations`;
  });
  afterAll(async () => {
    await egress.close();
    server.close();
  });

  const judge = (settings: Omit<JudgeSettings, 'url'>) =>
    urlJudge({ settings: { ...settings, url }, reach: openReach(egress), resolveSecret: () => 'k1' });

  test('is asked in OpenAI’s shape with its key, and its scores are read', async () => {
    answer = { status: 200, body: JSON.stringify({ results: [{ category_scores: { violence: 0.8 } }] }) };
    const verdict = await judge({ key: `\${secret:K}` }).verdict(['a', 'b'], ['violence'], 10_000);
    expect(Object.fromEntries(verdict)).toEqual({ violence: 0.8 });
    expect(seen.at(-1)).toEqual({ body: { input: ['a', 'b'] }, authorization: 'Bearer k1' });
  });

  test('is asked in the simple shape', async () => {
    answer = { status: 200, body: JSON.stringify({ flagged: true, categories: ['hate'] }) };
    const verdict = await judge({ shape: 'simple' }).verdict(['a'], ['hate'], 10_000);
    expect(Object.fromEntries(verdict)).toEqual({ hate: 1 });
    expect(seen.at(-1)).toEqual({ body: { texts: ['a'], categories: ['hate'] }, authorization: undefined });
  });

  test('that stands inside is not reached unless the operator allows it', async () => {
    const guard = createEgressGuard([]);
    const inside = urlJudge({ settings: { url }, reach: openReach(guard), resolveSecret: () => 'k1' });
    const before = seen.length;
    await expect(inside.verdict(['a'], ['hate'], 10_000)).rejects.toThrow(/may not be reached/);
    expect(seen.length).toBe(before);
    await guard.close();
  });

  test.each([
    [500, '{"results":[]}'],
    [200, '<html>'],
    [302, ''],
  ])('that answers %i %j has said nothing', async (status, body) => {
    answer = { status, body };
    await expect(judge({}).verdict(['a'], ['hate'], 10_000)).rejects.toThrow();
  });
});
