import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { actions } from '../../src/admin/actions.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startAnthropic } from '../support/model-providers/anthropic.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';

// Every example of the page, one after the other, as its reader would try them.

const root = join(import.meta.dirname, '..', '..');
const page = readFileSync(join(root, 'docs', 'models.md'), 'utf8');
const blocks = (language: string) =>
  Array.from(page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g')), ([, block = '']) => block.trim());
const requests = blocks('http').flatMap((block) => block.split('\n\n'));

let openai: StandIn;
let anthropic: StandIn;
let gateway: AdminGateway;

beforeAll(async () => {
  openai = await startOpenai({ key: 'sk-from-openai' });
  anthropic = await startAnthropic({ key: 'sk-from-anthropic' });
  gateway = await openAdminGateway();
});
afterAll(async () => {
  await gateway?.stop();
  await openai?.close();
  await anthropic?.close();
});

const here = (text: string) =>
  text
    .replace('"provider": "openai",', `"provider": "openai", "url": "${openai.url}/v1",`)
    .replace('"provider": "anthropic",', `"provider": "anthropic", "url": "${anthropic.url}/v1",`);

/** Runs a program as a reader would, with this gateway's address in it. */
async function run(program: string, key: string): Promise<string> {
  const code = program.replaceAll('https://gatehouse.example.com', gateway.url);
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    env: { ...process.env, GATEHOUSE_KEY: key },
  });
  return stdout.trim();
}

// Five programs load a client's library each, one after the other.
const timeout = 120_000;

test('every request of the page does what it says, and every program prints what the model says', { timeout }, async () => {
  // A key of one's own is for members.
  const platform = await gateway.person('platform', [{ role: 'admin' }]);
  let requested = '';
  expect(requests.length).toBeGreaterThan(15);
  for (const request of requests) {
    const [line = '', ...body] = request.split('\n');
    const given = body.length === 0 ? undefined : JSON.parse(here(body.join('\n')));
    const answer = await gateway.api(line.replace(' /api', ' '), given, platform);
    expect([line, answer.status, answer.status === 200 ? undefined : answer.body]).toEqual([line, 200, undefined]);
    if (line.endsWith('/api/keys/request')) requested = answer.body.secret;
    if (line.includes('?')) expect(Object.values(answer.body)[0]).toBeDefined();
  }
  const programs = blocks('js');
  expect(programs).toHaveLength(3);
  for (const program of programs) expect(await run(program, requested)).toBe('Hello.');
  const { snippets, models } = await gateway.ok('GET /models/models/fast', undefined, platform);
  expect(models).toBeUndefined();
  expect(await run(snippets.openaiTypescript, requested)).toBe('Hello.');
  expect(await run(snippets.anthropicTypescript, requested)).toContain("text: 'Hello.'");
});

test('every action of the page is one, with its route', () => {
  const rows = Array.from(page.matchAll(/^\| (`\w+`[^|]*) \| ([^|]+) \|/gm), ([, names = '', routes = '']) => ({
    names,
    routes,
  }));
  const named = rows.flatMap(({ names }) => Array.from(names.matchAll(/`(\w+)`/g), ([, name = '']) => name));
  expect(named.length).toBeGreaterThan(12);
  expect(named.filter((name) => !actions.some((action) => action.name === name))).toEqual([]);
  for (const { names, routes } of rows)
    for (const [, path = ''] of routes.matchAll(/(\/[\w/{}-]+)/g))
      expect([names, path, actions.some(({ route }) => route.endsWith(` ${path}`))]).toEqual([names, path, true]);
});
