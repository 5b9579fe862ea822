import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { doctor } from '../../src/cli/doctor.ts';
import { readSettings } from '../../src/settings.ts';

const acting = '\u001b]0;owned\u0007\u001b[2J\u202e';
/** Says of itself what a terminal would act on, and what looks like a line about somebody else. */
const server = `
import { createInterface } from 'node:readline';
const acting = ${JSON.stringify(acting)};
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method } = JSON.parse(line);
  if (id === undefined) return;
  const serverInfo = { name: acting + 'tiny', version: '1\\nok   hr/forged: healthy, 99 tools' };
  const result = method === 'initialize' ? { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo } : { tools: [] };
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
});`;
const description = {
  openapi: '3.1.0',
  info: { title: `${acting}shop`, version: '1' },
  servers: [{ url: 'https://shop.example.com' }],
  paths: { '/a': { get: { responses: {}, parameters: [{ name: `x${acting}`, in: 'header' }] } } },
  components: { securitySchemes: { [`${acting}key`]: { type: 'http', scheme: 'bearer' } } },
  security: [{ [`${acting}key`]: [] }],
};
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-doctor-'));

beforeAll(() => {
  for (const name of ['namespaces', 'imports']) mkdirSync(join(directory, name));
  const file = join(directory, 'server.mjs');
  writeFileSync(file, server);
  writeFileSync(join(directory, 'imports', 'shop.json'), JSON.stringify(description));
  const upstreams = `upstreams:\n  tiny: { kind: mcp, command: [${process.execPath}, ${file}] }\n  shop: { kind: openapi, import: shop }\n`;
  writeFileSync(join(directory, 'namespaces', 'odd.yaml'), `namespace: odd\n${upstreams}`);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function run(json: boolean): Promise<string> {
  const environment = {
    GATEHOUSE_DATA: join(directory, 'data'),
    GATEHOUSE_NAMESPACES: join(directory, 'namespaces'),
    GATEHOUSE_OPENAPI_IMPORTS: join(directory, 'imports'),
  };
  const settings = await readSettings({ flags: {}, environment, directory });
  let text = '';
  const write = (more: string) => {
    text += more;
  };
  await doctor({ settings, environment, json, write });
  return text;
}

test('doctor writes out what a terminal would act on, and no upstream adds a line about another one', async () => {
  const text = await run(false);
  expect(text).toContain('\\u001b]0;owned\\u0007\\u001b[2J\\u202etiny 1\\u000aok   hr/forged');
  expect(text).toMatch(/^ok {3}odd\/tiny: healthy/m);
  expect(text).not.toMatch(/^ok {3}hr\/forged/m);
  expect(text).toContain('\\u202eshop');
  expect(text).not.toMatch(/[^\n\P{C}]/u);
  const source = await run(true);
  expect(source).not.toMatch(/[^\n\P{C}]/u);
  const { upstreams } = JSON.parse(source);
  expect(upstreams).toMatchObject([{ id: 'odd/tiny', server: expect.stringContaining(`${acting}tiny`) }, { id: 'odd/shop' }]);
}, 60_000);
