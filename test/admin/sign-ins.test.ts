import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startAuthorizationServer, type TestAuthorizationServer } from '../support/authorization-server.ts';
import { openBrowser } from '../support/browser.ts';
import { readJournal } from '../support/read-journal.ts';
import { type ProtectedServer, startProtectedServer } from '../support/upstreams/protected-server.ts';

const clock = { offsetMs: 0, nowMs: () => Date.now() + clock.offsetMs };
let server: TestAuthorizationServer;
let peer: ProtectedServer;
let gateway: AdminGateway;
const keys = new Map<string, string>();

beforeAll(async () => {
  server = await startAuthorizationServer();
  peer = await startProtectedServer({
    era: 'modern',
    verify: server.verify,
    metadata: { authorization_servers: [server.issuer] },
  });
  const yaml = `namespace: hr\nupstreams:\n  desk: { kind: mcp, url: "${peer.url}", auth: { kind: user } }\n`;
  gateway = await openAdminGateway({ namespaces: { hr: yaml, finance: 'namespace: finance\n' }, clock });
  for (const [id, role, namespace] of [
    ['ann', 'developer', 'hr'],
    ['bob', 'developer', 'hr'],
    ['carl', 'admin', 'finance'],
    ['dora', 'admin', 'hr'],
    ['eve', 'auditor', 'hr'],
  ] as const)
    keys.set(id, await gateway.person(id, [{ role, namespace }]));
  keys.set('ann2', (await gateway.ok('POST /keys', { id: 'ann2', title: 'second', member: 'ann' })).secret);
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([peer?.close(), server?.close()]);
});

const codeOf = ({ body }: Awaited<ReturnType<typeof call>>) => body.result?._meta?.['dev.gatehouse/error'];
const call = (id: string) => gateway.mcp('', 'tools/call', { name: 'hr__sign_in_desk', arguments: {} }, keys.get(id));
const isIn = async (id: string) => codeOf(await call(id)) === undefined;

async function signIn(id: string): Promise<void> {
  server.signInAs(`${id}@as`);
  const { url } = codeOf(await call(id));
  expect((await openBrowser().signIn(url)).status).toBe(200);
  expect(await isIn(id)).toBe(true);
}

const list = async (id: string) =>
  (await gateway.ok('GET /sign-ins', undefined, keys.get(id))).signIns.map((one: { caller: string; isYours: boolean }) =>
    one.isYours ? `own ${one.caller}` : one.caller,
  );
const end = async (id: string, caller?: string) => {
  const { ended } = await gateway.ok('DELETE /sign-ins/hr/desk', caller === undefined ? {} : { caller }, keys.get(id));
  // As long as a process goes on without a look.
  clock.offsetMs += 6_000;
  return ended;
};

test('a sign-in is listed to its owner and to whoever looks after its namespace, and to nobody else', async () => {
  for (const id of ['ann', 'ann2', 'bob']) await signIn(id);
  expect((await list('ann')).sort()).toEqual(['own key:ann', 'own key:ann2']);
  expect((await list('dora')).sort()).toEqual(['key:ann', 'key:ann2', 'key:bob']);
  expect((await list('eve')).sort()).toEqual(['key:ann', 'key:ann2', 'key:bob']);
  expect(await list('carl')).toEqual([]);
  const text = JSON.stringify(await gateway.ok('GET /sign-ins'));
  expect(text).toContain(server.issuer);
  expect(text).not.toMatch(/sealed|token|version/);
});

test('is ended by its owner and by an admin of its namespace, and by nobody else', async () => {
  for (const id of ['bob', 'carl', 'eve']) expect(await end(id, 'key:ann')).toBe(0);
  expect([await isIn('ann'), await isIn('bob')]).toEqual([true, true]);
  // All of hers, by whichever of her keys.
  expect(await end('ann')).toBe(2);
  expect([await isIn('ann'), await isIn('ann2'), await isIn('bob')]).toEqual([false, false, true]);
  expect(await end('dora', 'key:bob')).toBe(1);
  expect([await isIn('bob'), await end('bob')]).toEqual([false, 0]);
  await signIn('ann');
  const records = readJournal(gateway.dataDir).filter(({ action }) => action === 'end_sign_in');
  expect(records.map(({ principal, object }) => [principal, object])).toEqual([
    ['key:ann', expect.stringMatching(/^sign-in\/hr\/desk key:ann2?$/)],
    ['key:ann', expect.stringMatching(/^sign-in\/hr\/desk key:ann2?$/)],
    ['key:dora', 'sign-in/hr/desk key:bob'],
  ]);
});
