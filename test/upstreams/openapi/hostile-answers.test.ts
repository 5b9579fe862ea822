import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AnswerRules, ApiTransport } from '../../../src/catalog/config.ts';
import { FailedAnswer, type Upstream } from '../../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { cpuMs } from '../../support/cpu-time.ts';
import { type ApiServer, startApiServer } from '../../support/upstreams/api-server.ts';
import { overApi, started, toolCall } from '../../support/upstreams/harness.ts';
import { conversionOf, operation, schemes } from './conversions.ts';

const secret = 'a-secret-value-123';
const plain = operation('GET /plain', 'plain', { security: [{ headerKey: [] }] });
const promising = operation('GET /promising', 'promising', { outputSchema: { type: 'object' } });
let server: ApiServer;
const open: Upstream[] = [];

beforeAll(async () => {
  server = await startApiServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close()));
});
afterAll(() => server.close());

async function api(answer: Partial<AnswerRules> = {}): Promise<Upstream> {
  const transport: Partial<ApiTransport> = {
    credentials: { headerKey: { kind: 'value', value: `\${secret:KEY}` } },
    answer: { select: undefined, trim: [], maxItems: undefined, limitBytes: undefined, ...answer },
  };
  const conversion = conversionOf([plain, promising], { securitySchemes: schemes });
  const more = { secrets: { KEY: secret } };
  const { upstream } = await started(overApi(server.url, conversion, transport, more));
  open.push(upstream);
  return upstream;
}

async function ask(upstream: Upstream, name = 'plain'): Promise<JsonObject> {
  const answer = await upstream.call(toolCall(name, {}, { limitBytes: 16 * 1024 * 1024 })).catch((thrown: unknown) => {
    if (thrown instanceof FailedAnswer && thrown.answer !== undefined) return thrown.answer;
    throw thrown;
  });
  if (answer.kind !== 'result') throw new Error(`the answer is ${answer.kind}`);
  return answer.result.value;
}

const json = { 'content-type': 'application/json' };
const textOf = (value: JsonObject) => (value.content as { text: string }[]).map((block) => block.text).join('\n');

describe('a secret that is repeated in another charset', () => {
  const said = `you sent ${secret}`;
  const spelled = Buffer.from(said.split('').join('\x1b(B'), 'latin1');
  test.each<readonly [string, Buffer]>([
    ['text/plain; charset=utf-16le', Buffer.from(said, 'utf16le')],
    ['text/plain; charset="UTF-16BE"', Buffer.from(said, 'utf16le').swap16()],
    ['text/plain', Buffer.from(`\ufeff${said}`, 'utf16le')],
    ['text/plain; charset=utf-8', Buffer.from(`\ufeff${said}`, 'utf16le').swap16()],
    ['text/plain; charset=iso-2022-jp', spelled],
  ])('is blanked out, and the rest is read: %s', async (type, body) => {
    for (const status of [200, 400, 500]) {
      server.answer(status, { 'content-type': type }, body);
      const shown = textOf(await ask(await api()));
      expect(shown).toContain('you sent ****');
      expect(shown).not.toContain(secret);
    }
  });

  test('is blanked out of structured content, too', async () => {
    const body = Buffer.from(JSON.stringify({ said, n: 1 }), 'utf16le');
    server.answer(200, { 'content-type': 'application/json; charset=utf-16' }, body);
    expect((await ask(await api())).structuredContent).toEqual({ said: `you sent ${'*'.repeat(secret.length)}`, n: 1 });
  });

  test('an unknown charset is read as UTF-8, bytes that are no text stay as they are', async () => {
    server.answer(200, { 'content-type': 'text/plain; charset=klingon' }, 'grüße');
    expect(textOf(await ask(await api()))).toBe('grüße');
    const bytes = Buffer.concat([Buffer.from([0xff, 0xfe]), randomBytes(20)]);
    server.answer(200, { 'content-type': 'image/png; charset=utf-16le' }, bytes);
    expect(await ask(await api())).toMatchObject({ content: [{ type: 'image', data: bytes.toString('base64') }] });
  });
});

describe('an answer that takes long to parse', () => {
  const nothing = '{},'.repeat(2_000_000);
  const keys = Array.from({ length: 500_000 }, (_, n) => `"k${n}":1`).join(',');
  const heavy: readonly (readonly [why: string, body: string])[] = [
    ['is nested deeper than 128 levels', '['.repeat(2_000_000) + ']'.repeat(2_000_000)],
    ['is nested deeper than 128 levels', `${'{"a":'.repeat(1_000_000)}1${'}'.repeat(1_000_000)}`],
    ['holds more than 1000000 values', `{"list":[${nothing}{}]}`],
    ['has more than 20000 different keys', `{${keys}}`],
  ];
  test.each(heavy)('is text where it %s', async (why, body) => {
    server.answer(200, json, body);
    const upstream = await api();
    const startedMs = cpuMs();
    const value = await ask(upstream);
    expect(value.structuredContent).toBeUndefined();
    expect(value).toEqual({ content: [{ type: 'text', text: body }] });
    const broken = await ask(upstream, 'promising');
    expect(broken.isError).toBe(true);
    expect(textOf(broken)).toContain(`The call succeeded, but the answer is not of the shape`);
    expect(textOf(broken)).toContain(why);
    server.answer(422, json, body);
    expect(textOf(await ask(upstream))).toContain('HTTP 422');
    expect(cpuMs() - startedMs).toBeLessThan(4_000);
  });

  test('nested just too deep for whoever walks through it is text for every rule', async () => {
    const body = `${'{"a":['.repeat(1_000)}1${']}'.repeat(1_000)}`;
    for (const rule of [{ trim: ['b'] }, { select: ['a'] }, { maxItems: 5 }]) {
      server.answer(200, json, body);
      expect(textOf(await ask(await api(rule)))).toBe(body);
    }
  });

  test('brackets, commas and colons within texts count for nothing, and many rows are structure as before', async () => {
    const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, text: `[[[{{{,,,::: "${id}" \\` }));
    server.answer(200, json, JSON.stringify({ rows }));
    expect((await ask(await api())).structuredContent).toEqual({ rows });
    server.answer(200, json, `{"a":"${'['.repeat(10_000)}`);
    expect(textOf(await ask(await api()))).toContain('[[[');
  });

  test('a page of HTML whose tags never end is looked at once', async () => {
    const upstream = await api();
    const startedMs = cpuMs();
    for (const page of ['<', '<script', '<style ', '<a <', '<!--']) {
      server.answer(400, { 'content-type': 'text/html' }, page.repeat(20_000));
      expect(textOf(await ask(upstream))).toContain('HTTP 400');
    }
    expect(cpuMs() - startedMs).toBeLessThan(1_000);
    server.answer(
      400,
      { 'content-type': 'text/html' },
      '<html><style>p{}</style><p>No <b>way</b></p><SCRIPT a>x()</SCRIPT> 1 < 2',
    );
    expect(textOf(await ask(upstream))).toContain('It says: No way 1 < 2');
  });
});

describe('headers that stand there twice', () => {
  const twice = (status: number, headers: readonly string[], body = '{"a":1}') =>
    server.respond((_arrived, response) => {
      response.writeHead(status, [...headers]).end(body);
    });

  test('are one each: the first, or a list where the header is one', async () => {
    const upstream = await api();
    twice(200, [
      'Content-Type',
      'application/json',
      'Content-Type',
      'image/png',
      'Link',
      '<b>; rel="prev"',
      'Link',
      '<c>; rel="next"',
    ]);
    const value = await ask(upstream);
    expect(value.structuredContent).toEqual({ a: 1 });
    expect(textOf(value)).toContain('there is more: <b>; rel="prev", <c>; rel="next"');
    twice(302, ['Location', 'https://one.example/', 'Location', 'https://two.example/']);
    expect(textOf(await ask(upstream))).toContain('It sends on to https://one.example/,');
    twice(429, ['Retry-After', '5', 'Retry-After', '9']);
    await expect(ask(upstream)).rejects.toMatchObject({ code: 'upstream_busy', retryAfterMs: 5_000 });
  });
});
