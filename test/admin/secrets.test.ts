import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

const first = 'first-value-of-the-backend-4711';
const second = 'second-value-of-the-backend-4712';
let upstream: StagedUpstream;
let gateway: AdminGateway;
let hrAuditor: string;

beforeAll(async () => {
  upstream = await startStagedUpstream();
  const headers = `headers: { x-backend: "\${secret:BACKEND}" }`;
  gateway = await openAdminGateway({
    namespaces: {
      hr: `namespace: hr\nupstreams:\n  desk: { kind: mcp, url: "${upstream.url}", ${headers} }\n`,
      finance: `namespace: finance\nupstreams:\n  books: { kind: mcp, url: "${upstream.url}", headers: { x-a: "\${secret:FROM_ENVIRONMENT}" } }\n`,
    },
    settings: { FROM_ENVIRONMENT: 'of-the-environment' },
  });
  hrAuditor = await gateway.person('auditor', [{ role: 'auditor', namespace: 'hr' }]);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const call = () => gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: {} });

test('a secret that is set, and set anew, reaches the upstreams that refer to it without a restart', async () => {
  await gateway.ok('PUT /secrets/BACKEND', { value: first });
  await until('the upstream is there', async () => (await call()).body.result !== undefined);
  await until('the first value arrives', async () => {
    await call();
    return upstream.arrivals.at(-1)?.headers['x-backend'] === first;
  });
  await gateway.ok('PUT /secrets/BACKEND', { value: second });
  await until('the second value arrives', async () => {
    await call();
    return upstream.arrivals.at(-1)?.headers['x-backend'] === second;
  });
});

test('its value is in no answer, record, log or file', async () => {
  const answers = [
    await gateway.ok('GET /secrets'),
    await gateway.ok('GET /audit'),
    await gateway.ok('GET /audit?source=changes'),
    await gateway.ok('GET /health'),
    (await gateway.mcp('admin', 'tools/list', {})).body,
  ];
  const files = readdirSync(gateway.dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name)).toString('latin1'));
  for (const text of [JSON.stringify(answers), ...gateway.log, ...files])
    for (const value of [first, second]) expect(text).not.toContain(value);
});

test('the list says where each comes from and who refers to it', async () => {
  const { secrets } = await gateway.ok('GET /secrets');
  expect(secrets).toEqual([
    { name: 'BACKEND', source: 'registry', usedBy: ['hr/desk'], changedAtMs: expect.any(Number), changedBy: 'key:admin' },
    { name: 'FROM_ENVIRONMENT', source: 'environment', usedBy: ['finance/books'] },
  ]);
  expect((await gateway.ok('GET /secrets', undefined, hrAuditor)).secrets).toEqual([
    { name: 'BACKEND', source: 'registry', usedBy: ['hr/desk'] },
  ]);
});

test('what was removed is gone, and cannot be removed twice', async () => {
  await gateway.ok('PUT /secrets/BACKEND', { value: null });
  expect((await gateway.ok('GET /secrets')).secrets[0]).toEqual({ name: 'BACKEND', source: 'nowhere', usedBy: ['hr/desk'] });
  expect((await gateway.api('PUT /secrets/BACKEND', { value: null })).status).toBe(404);
});

test.each([['GATEHOUSE_ADMIN_KEY'], ['1ST'], ['with-hyphen'], ['A'.repeat(129)]])('%s is no name for one', async (name) => {
  expect((await gateway.api(`PUT /secrets/${name}`, { value: 'x' })).status).toBe(400);
});

test.each([[''], ['x'.repeat(32_769)], [7]])('a value has a length, and is text', async (value) => {
  const { status, body } = await gateway.api('PUT /secrets/FINE', { value });
  expect(status).toBe(400);
  expect(JSON.stringify(body).length).toBeLessThan(1000);
});

test('an admin of a namespace sets the secrets that are named after it, and sees them', async () => {
  const admin = await gateway.person('hr-admin', [{ role: 'admin', namespace: 'hr' }]);
  const set = async (name: string) => (await gateway.api(`PUT /secrets/${name}`, { value: 'of-the-namespace' }, admin)).status;
  expect(await set('HR__TOKEN')).toBe(200);
  for (const name of ['BACKEND', 'FINANCE__TOKEN', 'HR__A__B', 'HR_TOKEN', 'hr__TOKEN', 'HR__', 'GATEHOUSE__HR'])
    expect([name, await set(name)]).toEqual([name, 403]);
  const { secrets } = await gateway.ok('GET /secrets', undefined, admin);
  expect(secrets.map(({ name }: { name: string }) => name)).toEqual(['BACKEND', 'HR__TOKEN']);
});
