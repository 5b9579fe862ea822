import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, textOf } from '../support/clients.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';
import { type Administered, act, startAdministered } from './operator.ts';
import { startToolServer, type ToolServer } from './tool-server.ts';

const program = new URL('../support/upstreams/stdio-legacy.ts', import.meta.url).pathname;
const allowedCommand = [process.execPath, program, '$(touch canary); `x` "quoted" *'];

let people: ToolServer;
let twins: ToolServer;
let canary: TestServer;
let hits = 0;
let gateway: Administered;
let directory: string;
let admin: { url: string; key: string };
const as = (id: string) => ({ url: gateway.url, key: gateway.keyOf(id) });
const messages = (body: { error?: { message: string } }) => body.error?.message ?? '';

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-upstreams-'));
  people = await startToolServer(['find_person', 'list_people']);
  twins = await startToolServer(['Find_Person', 'other']);
  canary = await listenOn(
    createServer((_request, response) => {
      hits++;
      response.end();
    }),
  );
  gateway = await startAdministered(
    [`namespace: legal\nupstreams:\n  contracts: { kind: mcp, url: ${people.url} }\n`],
    [
      { id: 'hana', roles: [{ role: 'admin', namespace: 'hr' }] },
      { id: 'dev', roles: [{ role: 'developer' }] },
      { id: 'caller', roles: [] },
    ],
    {
      GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${people.port},127.0.0.1:${twins.port}`,
      GATEHOUSE_ALLOWED_COMMANDS: JSON.stringify([allowedCommand]),
      HR__TOKEN: 'a-secret-of-hr',
      OTHER_TOKEN: 'a-secret-of-others',
    },
  );
  admin = gateway;
  expect((await act(admin, 'create_namespace', { namespace: 'hr', description: 'People' })).status).toBe(200);
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([people?.close(), twins?.close(), canary?.close()]);
  rmSync(directory, { recursive: true, force: true });
});

const place = { namespace: 'hr', name: 'people' };

describe('US-T-A1 register MCP endpoints', () => {
  test('an endpoint with address, authorization and description is registered, and its tools can be called at once', async () => {
    const entry = {
      url: people.url,
      headers: { Authorization: `Bearer \${secret:HR__TOKEN}` },
      title: 'People',
      description: 'Who works here; answered for by HR.',
    };
    const { status, body } = await act(as('hana'), 'register_upstream', { ...place, entry });
    expect(body).toMatchObject({
      upstream: {
        id: 'hr/people',
        source: 'registry',
        state: 'healthy',
        title: 'People',
        tools: ['hr__find_person', 'hr__list_people'],
      },
      findings: [],
    });
    expect(status).toBe(200);
    expect(people.requests.at(-1)).toMatchObject({ authorization: 'Bearer a-secret-of-hr' });
    const client = await connectClient('v2 auto', { url: gateway.mcpUrl(), key: gateway.key });
    expect(await client.listTools()).toContain('hr__find_person');
    expect(textOf(await client.call('hr__find_person', { text: 'ada' }))).toBe('find_person ada');
    await client.close();
  });

  test('the same action is a tool of /mcp/admin, with every finding in its answer', async () => {
    const client = await connectClient('v2 auto', { url: gateway.mcpUrl('admin'), key: gateway.key });
    const answer = await client.call('test_upstream', { ...place, name: 'twin', entry: { url: twins.url } });
    expect(JSON.parse(textOf(answer))).toMatchObject({
      isUsable: false,
      findings: [
        { severity: 'error', path: '/rename', message: expect.stringContaining('hr/people already offers hr/Find_Person') },
      ],
    });
    await client.close();
  });

  test('what collides is refused and says what to do; with another name it is registered', async () => {
    const twin = { namespace: 'hr', name: 'twin' };
    const refused = await act(admin, 'register_upstream', { ...twin, entry: { url: twins.url } });
    expect(refused.status).toBe(400);
    expect(messages(refused.body)).toContain('Give "Find_Person" another name with "rename"');
    const entry = { url: twins.url, rename: { Find_Person: 'find_twin' } };
    const { status, body } = await act(admin, 'register_upstream', { ...twin, entry });
    expect([status, body.upstream?.tools]).toEqual([200, ['hr__find_twin', 'hr__other']]);
  });

  test('it is changed and taken out', async () => {
    const twin = { namespace: 'hr', name: 'twin' };
    const entry = { url: twins.url, rename: { Find_Person: 'find_twin' }, exclude: ['other'], timeoutMs: 5000 };
    const changed = await act(as('hana'), 'update_upstream', { ...twin, entry });
    expect([changed.status, changed.body.upstream?.tools]).toEqual([200, ['hr__find_twin']]);
    const colliding = await act(as('hana'), 'update_upstream', { ...twin, entry: { url: twins.url } });
    expect(messages(colliding.body)).toContain('already offers');
    const stale = await act(admin, 'update_upstream', { ...twin, entry, revision: 1 });
    expect(stale.status).toBe(409);
    const gone = await act(as('hana'), 'deregister_upstream', twin);
    expect(gone).toEqual({ status: 200, body: { id: 'hr/twin', removedTools: ['hr__find_twin'] } });
    expect((await act(admin, 'deregister_upstream', twin)).status).toBe(404);
  });

  test('one where every caller signs in is registered before anybody has', async () => {
    const locked = await listenOn(
      createServer((_request, response) => response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()),
    );
    const own = await startAdministered([], [], { GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${locked.port}` });
    await act(own, 'create_namespace', { namespace: 'hr' });
    const plain = await act(own, 'register_upstream', { ...place, entry: { url: locked.url } });
    expect([plain.status, messages(plain.body)]).toEqual([400, expect.stringContaining('HTTP 401')]);
    const { status, body } = await act(own, 'register_upstream', {
      ...place,
      entry: { url: locked.url, auth: { kind: 'user' } },
    });
    expect([status, body.findings]).toMatchObject([200, [{ severity: 'warning', path: '/auth' }]]);
    await own.stop();
    await locked.close();
  });

  test('what does not answer as an MCP server, or is not of the right form, is refused with every place', async () => {
    const { status, body } = await act(admin, 'register_upstream', {
      ...place,
      name: 'broken',
      entry: { url: 'nowhere', timeoutMs: -1, colour: 'red' },
    });
    expect(status).toBe(400);
    expect(body.error.data.findings.map(({ path }: { path: string }) => path)).toEqual(['/url', '/timeoutMs', '/colour']);
  });

  test('whoever has no right to a namespace registers nothing there', async () => {
    const entry = { url: people.url };
    for (const who of ['dev', 'caller']) {
      const answer = await act(as(who), 'register_upstream', { ...place, name: 'other', entry });
      expect([403, 404]).toContain(answer.status);
    }
    expect((await act(as('hana'), 'register_upstream', { namespace: 'legal', name: 'other', entry })).status).toBe(403);
  });

  test('what a file declares is read-only here and says where it is', async () => {
    const contracts = { namespace: 'legal', name: 'contracts' };
    for (const [name, more] of [
      ['register_upstream', { entry: { url: people.url } }],
      ['update_upstream', { entry: { url: people.url } }],
      ['deregister_upstream', {}],
    ] as const) {
      const { status, body } = await act(admin, name, { ...contracts, ...more });
      expect([status, messages(body)]).toEqual([409, expect.stringContaining('legal.yaml')]);
    }
    const { body } = await act(admin, 'list_upstreams', { namespace: 'legal' });
    expect(body.upstreams).toMatchObject([
      { id: 'legal/contracts', source: 'file', file: expect.stringContaining('legal.yaml') },
    ]);
  });

  test('lists show what the caller has a role for', async () => {
    const ids = async (who: { url: string; key: string }) =>
      (await act(who, 'list_upstreams')).body.upstreams?.map(({ id }: { id: string }) => id);
    expect(await ids(as('hana'))).toEqual(['hr/people']);
    expect(await ids(as('dev'))).toEqual(['hr/people', 'legal/contracts']);
    expect((await act(as('caller'), 'list_upstreams')).status).toBe(404);
  });

  test('AZ-12: the address of the gateway itself is refused, whatever it is called', async () => {
    const { port } = new URL(gateway.url);
    const own = await startAdministered([], [], {
      GATEHOUSE_EGRESS_ALLOW: '127.0.0.0/8,localhost',
      GATEHOUSE_ALLOWED_HOSTS: 'localhost',
    });
    await act(own, 'create_namespace', { namespace: 'self' });
    const ownPort = new URL(own.url).port;
    const register = (url: string, key: string) =>
      act(own, 'register_upstream', { namespace: 'self', name: 'self', entry: { url, headers: { 'x-passed': key } } });
    for (const host of ['127.0.0.1', 'localhost', '127.1']) {
      const { status, body } = await register(`http://${host}:${ownPort}/mcp`, own.key);
      expect([status, messages(body)]).toEqual([400, expect.stringContaining('this gateway itself')]);
    }
    // Another gateway may be one.
    const other = await act(own, 'test_upstream', {
      namespace: 'self',
      name: 'other',
      entry: { url: `http://127.0.0.1:${port}/mcp` },
    });
    expect(other.body.findings).toMatchObject([{ message: expect.not.stringContaining('this gateway itself') }]);
    await own.stop();
  });
});

describe('US-T-A2 namespaces', () => {
  test('a namespace is made, described, and deleted when it is empty', async () => {
    expect((await act(admin, 'create_namespace', { namespace: 'travel' })).status).toBe(200);
    expect((await act(admin, 'create_namespace', { namespace: 'travel' })).status).toBe(409);
    const described = await act(admin, 'update_namespace', { namespace: 'travel', description: 'Trips' });
    expect(described.body).toMatchObject({ namespace: 'travel', description: 'Trips', source: 'registry', tools: 0 });
    expect((await act(admin, 'delete_namespace', { namespace: 'travel' })).status).toBe(200);
    const names = (await act(admin, 'list_namespaces')).body.namespaces.map((one: { namespace: string }) => one.namespace);
    expect(names).toEqual(['hr', 'legal']);
  });

  test('one that holds something is kept, and says what', async () => {
    const { status, body } = await act(admin, 'delete_namespace', { namespace: 'hr' });
    expect([status, body.error.data]).toEqual([409, { held: ['the upstream hr/people', 'a role of the member hana'] }]);
  });

  test('one that a file declares, and the own one, are not touched', async () => {
    expect((await act(admin, 'delete_namespace', { namespace: 'legal' })).status).toBe(409);
    expect((await act(admin, 'create_namespace', { namespace: 'admin' })).status).toBe(400);
    expect((await act(as('hana'), 'create_namespace', { namespace: 'mine' })).status).toBe(403);
    expect((await act(as('hana'), 'update_namespace', { namespace: 'hr', description: 'Our people' })).status).toBe(200);
  });
});

describe('addresses that are registered at run time', () => {
  const tryOut = async (url: string) => (await act(admin, 'test_upstream', { ...place, name: 'probe', entry: { url } })).body;

  test.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '①②⑦.⓪.⓪.①',
    '0.0.0.0',
    '[::1]',
    '[::ffff:127.0.0.1]',
  ])('SS-01 SS-02: %s is refused, and nothing connects', async (host) => {
    for (const scheme of ['http', 'https']) {
      const body = await tryOut(`${scheme}://${host}:${canary.port}/mcp`);
      expect(body.findings).toMatchObject([
        { severity: 'error', path: '/url', message: expect.stringContaining('must be public and https') },
      ]);
    }
    expect(hits).toBe(0);
  });

  test.each([
    '10.0.0.1',
    '169.254.169.254',
    '[fd00:ec2::254]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fec0::1]',
    '[::127.0.0.1]',
  ])('SS-01 SS-02: %s is refused', async (host) => {
    expect((await tryOut(`https://${host}/mcp`)).findings).toMatchObject([
      { message: expect.stringContaining('must be public and https') },
    ]);
  });

  test('SS-03: a name that leads inside is refused when it is connected to', async () => {
    for (const name of ['localhost', 'localhost.', 'LOCALHOST']) {
      const { findings } = await tryOut(`https://${name}:${canary.port}/mcp`);
      expect(findings).toMatchObject([{ message: expect.stringContaining('must be public and https') }]);
    }
    expect(hits).toBe(0);
  });

  test('SS-04: a redirect inward is not followed', async () => {
    const redirecting = await listenOn(
      createServer((_request, response) => response.writeHead(307, { location: `http://127.0.0.1:${canary.port}/mcp` }).end()),
    );
    const own = await startAdministered([], [], { GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${redirecting.port}` });
    await act(own, 'create_namespace', { namespace: 'hr' });
    const { body } = await act(own, 'test_upstream', { ...place, entry: { url: redirecting.url } });
    expect(body).toMatchObject({
      isUsable: false,
      findings: [{ message: expect.stringContaining('redirects to another origin') }],
    });
    expect(hits).toBe(0);
    await own.stop();
    await redirecting.close();
  });

  test('SS-01: an authorization server inside is not asked either', async () => {
    const own = await startAdministered([], [], {
      GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${people.port}`,
      HR__TOKEN: 'a-secret-of-hr',
    });
    await act(own, 'create_namespace', { namespace: 'hr' });
    const client = { kind: 'client-credentials', clientId: 'gatehouse', clientSecret: `\${secret:HR__TOKEN}` };
    const asked = async (auth: object) =>
      (await act(own, 'test_upstream', { ...place, entry: { url: people.url, auth: { ...client, ...auth } } })).body;
    const inside = new URL(canary.url).origin;
    expect(await asked({ issuer: inside })).toMatchObject({ isUsable: false });
    expect(await asked({ tokenUrl: `${inside}/token` })).toMatchObject({ isUsable: false });
    expect(hits).toBe(0);
    await own.stop();
    const allowed = await startAdministered([], [], {
      GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${people.port},127.0.0.1:${canary.port}`,
      HR__TOKEN: 'a-secret-of-hr',
    });
    await act(allowed, 'create_namespace', { namespace: 'hr' });
    const entry = { url: people.url, auth: { ...client, tokenUrl: `${inside}/token` } };
    await act(allowed, 'test_upstream', { ...place, entry });
    expect(hits).toBeGreaterThan(0);
    hits = 0;
    await allowed.stop();
  });

  test('SS-05: open, closed, filtered and unknown say the same', async () => {
    const closed = await listenOn(createServer());
    await closed.close();
    const said = async (url: string) => JSON.stringify((await tryOut(url)).findings).replaceAll(new URL(url).host, '<address>');
    const open = await said(`https://127.0.0.1:${canary.port}/mcp`);
    expect(await said(`https://127.0.0.1:${closed.port}/mcp`)).toBe(open);
    expect(await said('https://10.255.255.1:8443/mcp')).toBe(open);
    expect(await said('https://no-such-name.invalid:8443/mcp')).toBe(open);
    expect(hits).toBe(0);
  });

  test('SS-07: of what is allowed, exactly that is reached', async () => {
    expect((await tryOut(people.url)).findings.every(({ path }: { path: string }) => path === '/rename')).toBe(true);
    for (const url of [
      `http://127.0.0.2:${people.port}/mcp`,
      `http://localhost:${people.port}/mcp`,
      `http://127.0.0.1:${canary.port}/mcp`,
    ])
      expect((await tryOut(url)).findings).toMatchObject([{ message: expect.stringContaining('must be public and https') }]);
    expect(hits).toBe(0);
  });
});

describe('secrets in what is registered', () => {
  test('one written out is refused and never repeated; a reference is taken', async () => {
    const entry = {
      url: people.url,
      headers: { Authorization: 'Bearer sk-123456789' },
      rename: { find_person: 'a', list_people: 'b' },
    };
    const { status, body } = await act(admin, 'register_upstream', { ...place, name: 'plain', entry });
    expect(status).toBe(400);
    expect(messages(body)).toContain(`Bearer \${secret:HR__PLAIN_AUTHORIZATION}`);
    expect(JSON.stringify(body)).not.toContain('sk-123456789');
  });

  test('SK-06: a namespace administrator refers to secrets of that namespace alone; whoever administers all of it to any', async () => {
    const entry = {
      url: people.url,
      headers: { 'x-token': `\${secret:OTHER_TOKEN}` },
      rename: { find_person: 'a', list_people: 'b' },
    };
    const refused = await act(as('hana'), 'test_upstream', { ...place, name: 'leak', entry });
    expect(refused.body).toMatchObject({ isUsable: false, findings: [{ message: expect.stringContaining('HR__NAME') }] });
    expect((await act(admin, 'test_upstream', { ...place, name: 'leak', entry })).body).toMatchObject({ isUsable: true });
  });

  test('who may not refer to a secret does not get it sent elsewhere by changing the address', async () => {
    const entry = {
      url: people.url,
      headers: { 'x-token': `\${secret:OTHER_TOKEN}` },
      rename: { find_person: 'a', list_people: 'b' },
    };
    const kept = { namespace: 'hr', name: 'kept' };
    expect((await act(admin, 'register_upstream', { ...kept, entry })).status).toBe(200);
    const moved = await act(as('hana'), 'update_upstream', { ...kept, entry: { ...entry, url: twins.url } });
    expect([moved.status, messages(moved.body)]).toEqual([400, expect.stringContaining('not a secret of the namespace')]);
    const slower = await act(as('hana'), 'update_upstream', { ...kept, entry: { ...entry, timeoutMs: 9000 } });
    expect(slower.status).toBe(200);
    expect((await act(as('hana'), 'deregister_upstream', kept)).status).toBe(200);
  });
});

describe('commands', () => {
  const command = allowedCommand;
  const tool = { namespace: 'hr', name: 'tool' };
  const read = (file: string) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return '';
    }
  };
  const commandLines = () =>
    readdirSync('/proc')
      .filter((entry) => read(`/proc/${entry}/stat`).split(') ')[1]?.split(' ')[1] === String(gateway.pid))
      .map((entry) => read(`/proc/${entry}/cmdline`).replace(/\0$/, ''));
  const children = () => commandLines().length;

  test.each(['register_upstream', 'test_upstream'])(
    'ST-01: %s runs nothing for who does not administer all of it',
    async (name) => {
      const before = children();
      for (const who of ['hana', 'dev', 'caller']) {
        const answer = await act(as(who), name, { ...tool, entry: { command } });
        expect([403, 404]).toContain(answer.status);
      }
      expect(children()).toBe(before);
    },
  );

  test.each([
    [['sh', '-c', 'touch canary']],
    [['npx', '-y', 'x']],
    [[process.execPath, program]],
    [[...allowedCommand, '--more']],
    [[...allowedCommand].reverse()],
    [[`./../..${process.execPath}`, ...allowedCommand.slice(1)]],
  ])('ST-03: %j is refused, because it is not allowed word for word', async (words) => {
    const before = children();
    const { body } = await act(admin, 'test_upstream', { ...tool, entry: { command: words } });
    expect(body).toMatchObject({
      isUsable: false,
      findings: [{ path: '/command', message: expect.stringContaining('GATEHOUSE_ALLOWED_COMMANDS') }],
    });
    expect(children()).toBe(before);
  });

  test.each(['LD_PRELOAD', 'NODE_OPTIONS', 'PATH', 'PYTHONPATH', 'npm_config_registry', 'BASH_ENV'])(
    'ST-04: %s is not set',
    async (name) => {
      const { body } = await act(admin, 'test_upstream', { ...tool, entry: { command, env: { [name]: '/tmp/x' } } });
      expect(body).toMatchObject({ isUsable: false, findings: [{ path: `/env/${name}` }] });
    },
  );

  test('ST-02 ST-05: the allowed one runs word for word, and changing what runs needs the same right', async () => {
    const entry = { command, env: { GREETING: 'hello' } };
    const { status, body } = await act(admin, 'register_upstream', { ...tool, entry });
    expect([status, body.upstream?.state]).toEqual([200, 'healthy']);
    expect(commandLines()).toContain(command.join('\0'));
    expect(readdirSync(directory)).toEqual([]);
    const changed = await act(as('hana'), 'update_upstream', { ...tool, entry: { ...entry, env: { GREETING: 'bye' } } });
    expect(changed.status).toBe(403);
    expect((await act(admin, 'update_upstream', { ...tool, entry: { ...entry, command: ['sh'] } })).status).toBe(400);
    const running = await act(admin, 'test_upstream', tool);
    expect(running.body).toMatchObject({ isUsable: true });
    const slower = await act(as('hana'), 'update_upstream', { ...tool, entry: { ...entry, timeoutMs: 9000 } });
    expect(slower.status).toBe(200);
    const before = children();
    expect((await act(as('hana'), 'deregister_upstream', tool)).status).toBe(200);
    await until('its process has ended', () => children() < before);
  });

  test('ST-06: what an entry says beside what it may say is refused, and runs nothing', async () => {
    const before = children();
    for (const extra of [
      { image: 'evil:latest' },
      { mounts: ['/:/host'] },
      { user: 'root' },
      { args: ['-c', 'touch canary'] },
      { volumes: [] },
      { package: 'npm:x' },
    ])
      for (const entry of [{ url: 'https://tools.example.com/mcp' }, { command: allowedCommand }]) {
        const { status, body } = await act(admin, 'register_upstream', { ...tool, entry: { ...entry, ...extra } });
        expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining(Object.keys(extra)[0] ?? '')]);
      }
    expect(children()).toBe(before);
  });

  test('one that is not allowed any more does not run, and says why', async () => {
    const data = join(directory, 'data');
    mkdirSync(data);
    const settings = { GATEHOUSE_DATA: data, GATEHOUSE_ADMIN_KEY: 'one-key-for-both-gateways-0123456789' };
    const first = await startAdministered([], [], { ...settings, GATEHOUSE_ALLOWED_COMMANDS: JSON.stringify([command]) });
    await act(first, 'create_namespace', { namespace: 'hr' });
    expect((await act(first, 'register_upstream', { ...tool, entry: { command } })).status).toBe(200);
    await first.stop();
    const second = await startAdministered([], [], settings, { isHealthy: false });
    const { upstreams, configuration } = await second.status();
    expect(upstreams).toEqual([]);
    expect(configuration).toMatchObject([{ message: expect.stringContaining('hr/tool: This command may not be run') }]);
    await second.stop();
  });
});
