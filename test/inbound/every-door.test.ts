import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type Answered, closeRawClients, connectRaw, type RawClient, rawEras } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

// What is closed to somebody is closed at every door, under every name that it might answer to.

let upstream: StagedUpstream;
let admin: AdminGateway;
let guest: string;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['open_it', 'shut_it'], resources: ['demo://shut'], prompts: ['shut_prompt'] });
  admin = await openAdminGateway({
    namespaces: {
      desk: namespaceFor(
        'desk',
        upstream.url,
        'toolboxes:\n  narrow: { include: ["desk/open_it"] }\n  wide: { include: ["desk/*"] }\n  found: { include: ["desk/*"], search: true }\n',
      ),
    },
  });
  guest = await admin.person('guest', [{ role: 'developer' }]);
});
beforeEach(() => {
  upstream.arrivals.length = 0;
});
afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await upstream?.close();
});

const connect = (era: RawClient['era'], toolbox = '', key = guest) =>
  connectRaw(era, { url: `${admin.url}/mcp${toolbox === '' ? '' : `/${toolbox}`}`, key });

/** Names beyond ASCII travel encoded in the header that repeats them. */
const encoded = (name: string) => ({ 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` });

const isDone = ({ status, message }: Answered): boolean =>
  status === 200 && message?.result !== undefined && message.result.isError !== true;

const spellings = [
  'shut_it',
  'desk__shut_it',
  'desk/shut_it',
  'desk.shut_it',
  'DESK__SHUT_IT',
  'Desk__Shut_It',
  ' desk__shut_it',
  'desk__shut_it ',
  'desk__shut_it\n',
  'desk__shut_it\0',
  'desk__shut%5Fit',
  'desk%5F%5Fshut_it',
  'desk__open_it/../shut_it',
  '../wide/desk__shut_it',
  'desk__ｓhut_it',
  'desk__shut\u200b_it',
  'desk__shu\u0074\u0301_it',
  'gh.desk.shut_it',
];

describe.each(rawEras)('in the %s era', (era) => {
  test('AZ-02: a toolbox has its own tools and no others, however their names are written', async () => {
    const client = await connect(era, 'narrow');
    const told = new Set<string>();
    for (const name of [...spellings, 'desk__never_was']) {
      const answer = await client.call(name, {}, era === 'modern' ? { headers: encoded(name) } : {});
      expect(answer.message?.error?.code, JSON.stringify(name)).toBe(-32602);
      told.add(String(answer.message?.error?.message).split(':')[0] ?? '');
    }
    // The words are those for a name that never was.
    expect([...told]).toEqual(['Unknown tool']);
    expect(upstream.arrivals).toEqual([]);
    expect(isDone(await client.call('desk__open_it'))).toBe(true);
    expect(isDone(await (await connect(era, 'wide')).call('desk__shut_it'))).toBe(true);
  });

  test('AZ-04: what a policy denies is denied at every door, in sessions that were there before too', async () => {
    const doors = await Promise.all(['', 'wide', 'found'].map((toolbox) => connect(era, toolbox)));
    const finder = doors[2] as RawClient;
    const ways: Record<string, () => Promise<Answered>> = {
      ...Object.fromEntries(doors.map((client, at) => [`tools/call ${at}`, () => client.call('desk__shut_it')])),
      call_tool: () => finder.call('call_tool', { name: 'desk__shut_it', arguments: {} }),
      'documentation of it': () => finder.send('resources/read', { uri: 'gatehouse://docs/desk/shut_it' }),
    };
    const others: Record<string, () => Promise<Answered>> = {
      'prompts/get': () => (doors[1] as RawClient).send('prompts/get', { name: 'desk__shut_prompt' }),
      'resources/read': async () => {
        const listed = await (doors[1] as RawClient).send('resources/list');
        const uri = listed.message?.result?.resources?.[0]?.uri ?? 'demo://gh.desk.desk/shut';
        return (doors[1] as RawClient).send('resources/read', { uri });
      },
    };
    for (const [what, way] of Object.entries({ ...ways, ...others })) expect([what, isDone(await way())]).toEqual([what, true]);

    const policy = { allow: ['caller.role == "admin"'] };
    await admin.ok('PUT /policies/capability:desk%2Fshut_it', { policy });
    upstream.arrivals.length = 0;
    for (const [what, way] of Object.entries(ways)) expect([what, isDone(await way())]).toEqual([what, false]);
    expect(upstream.arrivals).toEqual([]);
    for (const client of doors) expect((await client.send('tools/list')).text).not.toContain('shut_it');
    expect((await finder.call('search_tools', { query: 'shut it' })).text).not.toContain('desk__shut_it');
    const explained = await admin.ok('POST /explain', { capability: 'desk/shut_it' }, guest).catch(() => undefined);
    expect(JSON.stringify(explained ?? {})).not.toContain('"isAllowed":true');
    expect(isDone(await (doors[0] as RawClient).call('desk__open_it'))).toBe(true);
    expect(isDone(await (await connect(era, 'wide', admin.key)).call('desk__shut_it'))).toBe(true);

    await admin.ok('PUT /policies/namespace:desk', { policy });
    upstream.arrivals.length = 0;
    for (const [what, way] of Object.entries({ ...ways, ...others })) expect([what, isDone(await way())]).toEqual([what, false]);
    expect(upstream.arrivals).toEqual([]);
    for (const scope of ['capability:desk%2Fshut_it', 'namespace:desk'])
      await admin.ok(`PUT /policies/${scope}`, { policy: null });
    for (const [what, way] of Object.entries({ ...ways, ...others })) expect([what, isDone(await way())]).toEqual([what, true]);
  });

  test('SE-05: what a caller may see is marked as theirs alone, and no list holds what another was shown', async () => {
    await admin.ok('PUT /policies/capability:desk%2Fshut_it', { policy: { allow: ['caller.role == "admin"'] } });
    const [operator, visitor] = [await connect(era, 'wide', admin.key), await connect(era, 'wide')];
    for (let round = 0; round < 20; round += 1) {
      const [whole, part] = await Promise.all([operator.send('tools/list'), visitor.send('tools/list')]);
      expect(whole.text).toContain('desk__shut_it');
      expect(part.text).not.toContain('shut_it');
      expect(part.text).toContain('desk__open_it');
      if (era === 'modern')
        expect([whole, part].map(({ message }) => message?.result?.cacheScope)).toEqual(['private', 'private']);
      expect([whole, part].map(({ headers }) => headers['cache-control'])).not.toContain('public');
    }
    // A change of rights shows in the next list.
    await admin.ok('PUT /policies/capability:desk%2Fshut_it', { policy: null });
    expect((await visitor.send('tools/list')).text).toContain('desk__shut_it');
  });

  test('RL-06: one bucket, whatever a caller varies: headers, alias, toolbox, session or key', async () => {
    const id = `one-${era}`;
    await admin.ok('POST /consumers', { id, title: id, kind: 'application', limits: [{ per: 'consumer', rpm: 6 }] });
    const keys = await Promise.all(
      [1, 2].map(async (n) => (await admin.ok('POST /keys', { id: `${id}-${n}`, title: id, consumer: id })).secret),
    );
    const calls = [
      async () => (await connect(era, '', keys[0])).call('desk__open_it'),
      async () => (await connect(era, 'wide', keys[1])).call('desk__open_it', { other: 'arguments' }),
      async () => (await connect(era, 'found', keys[0])).call('call_tool', { name: 'desk__open_it', arguments: {} }),
      async () => (await connect(era, 'wide', keys[0])).call('desk__shut_it', {}, { headers: { 'user-agent': 'another/1' } }),
      async () =>
        (await connect(era, '', keys[1])).call(
          'desk__open_it',
          {},
          { headers: { 'x-forwarded-for': '2001:db8::1', 'x-user': 'b' } },
        ),
      async () => (await connect(era, 'narrow', keys[1])).call('desk__open_it'),
    ];
    for (const [at, call] of calls.entries()) expect([at, isDone(await call())]).toEqual([at, true]);
    for (const [at, call] of calls.entries()) expect([at, (await call()).status]).toEqual([at, 429]);
    expect(upstream.arrivals).toHaveLength(calls.length);
    const { secret } = await admin.ok('POST /keys', { id: `${id}-free`, title: id, member: 'guest' });
    expect(isDone(await (await connect(era, '', secret)).call('desk__open_it'))).toBe(true);
  });
});
