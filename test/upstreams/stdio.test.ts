import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cancel } from '../../src/wire/cancel.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { type Harness, overStdio, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';

const fixture = (name: string) => fileURLToPath(new URL(`../support/upstreams/${name}.ts`, import.meta.url));
const program = (name: string, ...args: string[]) => [process.execPath, fixture(name), ...args];
const interactive: JsonObject = { elicitation: { form: {} } };

let harness: Harness;
afterEach(() => harness?.upstream.close());

describe('a modern upstream over stdio', () => {
  beforeEach(async () => {
    harness = await started(overStdio(program('stdio-modern')));
  });

  test('is recognised, answers, reports progress and takes cancellations', async () => {
    const { upstream } = harness;
    expect(upstream.health()).toMatchObject({ era: 'modern', transport: 'stdio', connections: 1 });
    const cancel = new Cancel();
    const hanging = expect(upstream.call(toolCall('hang', {}, { cancel }))).rejects.toMatchObject({ code: 'cancelled' });
    const seen: JsonObject[] = [];
    expect(textOf(await upstream.call(toolCall('count', { to: 2 }, { progress: (params) => seen.push(params) })))).toBe(
      'counted to 2',
    );
    expect(seen.map(({ progress }) => progress)).toEqual([1, 2]);
    cancel.cancel('enough');
    await hanging;
    expect(textOf(await upstream.call(toolCall('echo', { text: 'still there' })))).toBe('still there');
  });

  test('asks in rounds', async () => {
    const ask = async (): Promise<JsonObject> => ({ action: 'accept', content: { name: 'Ada' } });
    expect(textOf(await harness.upstream.call(toolCall('ask', {}, { capabilities: interactive, ask })))).toBe('hello Ada');
  });
});

describe('a legacy upstream over stdio', () => {
  beforeEach(async () => {
    harness = await started(overStdio(program('stdio-legacy')));
  });

  test('shares one process until a question could be for two people; from then on each gets a process', async () => {
    const { upstream } = harness;
    const call = (name: string, marker = name) =>
      upstream.call(
        toolCall(
          'ask-loosely',
          { marker },
          {
            principal: name,
            session: name,
            capabilities: interactive,
            ask: async (_method, params) => ({ action: 'accept', content: { name: `${name} about ${String(params.message)}` } }),
          },
        ),
      );
    expect(textOf(await call('ada'))).toBe('accept: ada about ada');
    expect(upstream.health().connections).toBe(1);
    const both = (await Promise.all([call('ada'), call('bob')])).map(textOf);
    // A question may be refused, but never reaches the wrong person.
    for (const [index, name] of ['ada', 'bob'].entries()) {
      expect(both[index] === `accept: ${name} about ${name}` || both[index]?.includes('cannot be put to anyone')).toBe(true);
    }
    expect(both.some((text) => text.includes('cannot be put to anyone'))).toBe(true);
    expect((await Promise.all([call('ada'), call('bob')])).map(textOf)).toEqual([
      'accept: ada about ada',
      'accept: bob about bob',
    ]);
    expect(upstream.health().connections).toBe(3);
    expect(harness.saved.at(-1)?.state).toContain('"needsEach":true');
    upstream.endSession('ada');
    await until(() => upstream.health().connections === 2);
  });

  test('has progress mapped to the call it belongs to', async () => {
    const seen: Record<string, unknown[]> = { a: [], b: [] };
    const call = (key: string, to: number) =>
      harness.upstream.call(toolCall('count', { to }, { progress: ({ progress }) => seen[key]?.push(progress) }));
    await Promise.all([call('a', 2), call('b', 3)]);
    expect(seen).toEqual({ a: [1, 2], b: [1, 2, 3] });
  });
});

describe('PR-07: a process that misbehaves', () => {
  const poke = (how: string, more: JsonObject = {}, overrides: Parameters<typeof toolCall>[2] = {}) =>
    harness.upstream.call(toolCall('poke', { how, ...more }, overrides));

  test.each(['exits-at-discover', 'legacy'])('is spoken to in the older way when it %s', async (opening) => {
    harness = await started(overStdio(program('stdio-raw', opening)));
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy', protocolVersion: '2024-11-05', state: 'healthy' });
    expect(textOf(await poke('ok'))).toBe('ok');
  });

  test('is spoken to in the older way when it stays silent', async () => {
    harness = await started(overStdio(program('stdio-raw', 'silent-at-discover')));
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy', state: 'healthy' });
  });

  test.each([
    ['wrong-id', 'the right one'],
    ['twice', 'ok'],
    ['noise', 'ok'],
    ['split', 'grüße'],
    ['newlines', 'a\nb\r\nc\u2028d'],
  ])('%s: the call is answered, and the next one too', async (how, text) => {
    harness = await started(overStdio(program('stdio-raw')));
    expect(textOf(await poke(how))).toBe(text);
    expect(textOf(await poke('ok'))).toBe('ok');
  });

  test('PR-06: cannot reach our prototypes', async () => {
    harness = await started(overStdio(program('stdio-raw')));
    const answer = await poke('proto');
    expect(answer.kind === 'result' && Object.keys(answer.result.value)).toContain('__proto__');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test.each([
    ['flood', 'upstream_failed', 'wrote output that is not MCP'],
    ['giant-line', 'answer_too_large', 'wrote a line longer than'],
    ['die', 'upstream_failed', 'its process ended with exit code 7'],
  ])('%s: the call fails once, the process is replaced and the next call works', async (how, code, words) => {
    harness = await started(overStdio(program('stdio-raw')));
    const before = textOf(await poke('pid'));
    await expect(poke(how, { bytes: 40_000_000 })).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    await until(() => harness.upstream.health().state === 'healthy');
    expect(textOf(await poke('pid'))).not.toBe(before);
  });

  test('fails fast while it is down, and says when it is tried again', async () => {
    harness = await started(overStdio(program('stdio-raw', 'exits')));
    expect(harness.upstream.health()).toMatchObject({ state: 'down', nextAttemptAtMs: expect.any(Number) });
    await expect(poke('ok')).rejects.toMatchObject({
      code: 'upstream_unavailable',
      message: expect.stringMatching(
        /^The upstream support\/crm cannot be reached \(its process ended with exit code 3\); (the next attempt is in \d+ s|it is being tried again right now)\.$/,
      ),
    });
  });

  test('is named without its path when it cannot be started', async () => {
    harness = await started(overStdio(['/nowhere/secret-place/server']));
    await expect(poke('ok')).rejects.toMatchObject({
      message: expect.stringContaining('its command or working directory was not found'),
    });
    await expect(poke('ok')).rejects.not.toMatchObject({ message: expect.stringContaining('secret-place') });
  });

  test('gets its arguments byte for byte, and of our environment only what is declared', async () => {
    process.env.GATEHOUSE_TEST_CANARY = 'do not inherit';
    const args = ['; touch canary', '$(id)', '`id`', 'a\nb', '"quoted" \'too\'', '*', ''];
    harness = await started(
      overStdio(program('stdio-raw', 'legacy', '', ...args), {
        env: { TOKEN: `\${secret:CRM_TOKEN}` },
        secrets: { CRM_TOKEN: 't0p' },
      }),
    );
    delete process.env.GATEHOUSE_TEST_CANARY;
    expect(JSON.parse(textOf(await poke('argv')))).toEqual(args);
    const names = JSON.parse(textOf(await poke('env'))) as string[];
    expect(names).toContain('TOKEN');
    expect(names).toContain('PATH');
    expect(names).not.toContain('GATEHOUSE_TEST_CANARY');
  });

  test('has its stderr in our log', async () => {
    harness = await started(overStdio(program('stdio-raw')));
    await poke('stderr');
    await until(() => harness.logged.some((line) => line.includes('a line for the log')));
  });

  test('gives an answer that is too large, and only that call fails', async () => {
    harness = await started(overStdio(program('stdio-raw')));
    await expect(poke('ok', {}, { limitBytes: 20 })).rejects.toMatchObject({ code: 'answer_too_large' });
    expect(textOf(await poke('ok'))).toBe('ok');
  });
});

describe('what a process leaves behind', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const pids = () => Object.values(JSON.parse(readFileSync(join(directory, 'pids'), 'utf8')) as Record<string, number>);
  const isAlive = (pid: number) => {
    try {
      process.kill(pid, 0);
      // A zombie waits for its parent to look; it runs nothing any more.
      return !/^\S+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return false;
    }
  };

  test.each(['legacy', 'stubborn'])('is ended with everything it started when it is closed (%s)', async (opening) => {
    harness = await started(overStdio(program('stdio-raw', opening, join(directory, 'pids'))));
    const started_ = pids();
    expect(started_).toHaveLength(2);
    expect(started_.every(isAlive)).toBe(true);
    const closing = Date.now();
    await harness.upstream.close();
    expect(Date.now() - closing).toBeLessThan(5_000);
    await until(() => !started_.some(isAlive));
  });

  test('is ended when Gatehouse exits without closing it', async () => {
    const file = join(directory, 'pids');
    const [node = '', ...args] = program('exits-early', ...program('stdio-raw', 'stubborn', file));
    const child = spawn(node, args, { stdio: 'ignore' });
    expect(await once(child, 'exit')).toEqual([0, null]);
    await until(() => !pids().some(isAlive));
  });

  test('is ended when the process itself dies', async () => {
    harness = await started(overStdio(program('stdio-raw', 'legacy', join(directory, 'pids'))));
    const before = pids();
    await expect(harness.upstream.call(toolCall('poke', { how: 'die' }))).rejects.toMatchObject({ code: 'upstream_failed' });
    await until(() => !before.some(isAlive));
  });
});
