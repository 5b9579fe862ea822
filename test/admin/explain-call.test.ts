import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
const nowMs = Date.parse('2026-08-03T12:00:00Z');

beforeAll(async () => {
  const inputSchema = { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] };
  upstream = await startStagedUpstream({
    tools: ['echo', { name: 'pay', inputSchema }],
    prompts: ['greet'],
    resources: ['note://one'],
  });
  gateway = await openAdminGateway({
    namespaces: { hr: namespaceFor('hr', upstream.url), finance: namespaceFor('finance', upstream.url) },
    clock: { nowMs: () => nowMs },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  await gateway.ok('POST /keys', {
    ...{ id: 'ci', title: 'x', consumer: 'app', scope: { namespaces: ['hr'] } },
    ...{ limits: [{ per: 'key', rpm: 2 }], network: ['10.0.0.0/8'], expiresInS: 3600 },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

interface Step {
  readonly step: string;
  readonly decision: string;
  readonly why: string;
  readonly details: readonly string[];
}

const explain = async (input: object, key?: string): Promise<{ decision: string; steps: Step[]; last: Step }> => {
  const answer = await gateway.ok('POST /explain', { caller: 'key:ci', capability: 'hr/echo', ip: '10.1.2.3', ...input }, key);
  return { ...answer, last: answer.steps.at(-1) };
};

describe('a call that', () => {
  test('leads nowhere says what was probably meant, and nothing of what its asker may not know of', async () => {
    const details = async (capability: string, key?: string) =>
      (await explain({ caller: undefined, capability }, key)).last.details;
    expect(await details('hr/ecko')).toEqual(['Did you mean "hr/echo"?']);
    expect(await details('hrr/echo')).toEqual(['There is no namespace "hrr". Did you mean "hr"?']);
    expect(await details('hr/something_else')).toEqual(['list_capabilities shows what there is.']);
    const dev = await gateway.person('seeker', [{ role: 'developer', namespace: 'hr' }]);
    expect(await details('hr/ecko', dev)).toEqual(['Did you mean "hr/echo"?']);
    expect(await details('finance/ecko', dev)).toEqual(['There is no namespace "finance".']);
  });

  test('would go out is told step by step, sends nothing and uses up nothing', async () => {
    for (let turn = 0; turn < 5; turn++) {
      const { decision, steps } = await explain({});
      expect(decision).toBe('allow');
      expect(steps.map(({ step, decision: of }) => `${step} ${of}`)).toEqual([
        'authenticate allow',
        'resolve allow',
        'authorize allow',
        'limit allow',
        'screen allow',
        'approve allow',
      ]);
      expect(steps[3]?.details).toEqual([expect.stringMatching(/^2 calls a minute per key .*: 0 used$/)]);
    }
    expect(upstream.arrivals).toEqual([]);
  });

  test.each([
    ['has a key that is over by then', { atMs: nowMs + 3_600_000 }, 'authenticate', 'expired'],
    ['is by nobody', { caller: 'key:nobody' }, 'authenticate', 'Nobody of that name'],
    ['is for nothing', { capability: 'hr/nothing' }, 'resolve', 'Unknown tool'],
    ['is in no toolbox', { toolbox: 'nowhere' }, 'resolve', 'no toolbox'],
    ['is out of scope', { capability: 'finance/pay' }, 'authorize', 'Unknown tool'],
    ['comes from elsewhere', { ip: '192.0.2.1' }, 'authorize', 'Unknown tool'],
    ['has arguments that do not fit', { capability: 'hr/pay', arguments: { amount: 'x' } }, 'screen', 'amount'],
  ])('%s is refused where it would be', async (_, input, step, words) => {
    const { decision, last } = await explain(input);
    expect({ decision, step: last.step }).toEqual({ decision: 'deny', step });
    expect(last.why).toContain(words);
  });

  test('is refused by scope or network says by which', async () => {
    expect((await explain({ capability: 'finance/pay' })).last.details).toContain(
      'No: the scope of the key does not hold finance/pay.',
    );
    expect((await explain({ ip: '192.0.2.1' })).last.details).toContain('No: the networks of the key do not hold 192.0.2.1.');
  });

  test('meets rules says which of them is true, at what time and with which arguments', async () => {
    const allow = ['args.amount < 100', 'time.utc < "08:00"'];
    await gateway.ok('PUT /policies/capability:hr%2Fpay', { policy: { allow } });
    const small = await explain({ capability: 'hr/pay', arguments: { amount: 5 } });
    expect(small.steps[2]?.details).toEqual(
      expect.arrayContaining([
        'Yes: the rule of capability hr/pay, args.amount < 100, is true.',
        'No: the rule of capability hr/pay, time.utc < "08:00", is not true.',
      ]),
    );
    const large = await explain({ capability: 'hr/pay', arguments: { amount: 500 } });
    expect(large.last).toMatchObject({
      step: 'authorize',
      decision: 'deny',
      why: expect.stringContaining('with these arguments'),
    });
    const early = await explain({ capability: 'hr/pay', arguments: { amount: 500 }, atMs: nowMs - 5 * 3_600_000 });
    expect(early.decision).toBe('allow');
    const { last } = await explain({ capability: 'hr/pay', arguments: {} });
    expect(last.details.join()).toMatch(/is not true\. .*rule line 1/);
    await gateway.ok('PUT /policies/capability:hr%2Fpay', { policy: null });
  });

  test('is over a limit says which one, as the call itself would', async () => {
    const { secret } = await gateway.ok('POST /keys', {
      id: 'busy',
      title: 'x',
      consumer: 'app',
      limits: [{ per: 'key', rpm: 1 }],
    });
    const call = () => gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: {} }, secret);
    expect((await explain({ caller: 'busy' })).decision).toBe('allow');
    await call();
    const { last } = await explain({ caller: 'busy' });
    expect(last).toMatchObject({ step: 'limit', decision: 'deny', why: expect.stringContaining('1 call a minute per key') });
    expect((await call()).status).toBe(429);
  });

  test('is for a prompt, by a member, or by the operator', async () => {
    await gateway.ok('POST /members', {
      ...{ id: 'ann', title: 'Ann', identities: ['oauth:https://issuer#ann'] },
      roles: [{ role: 'developer', namespace: 'hr' }],
    });
    expect((await explain({ method: 'prompts/get', capability: 'hr/greet' })).decision).toBe('allow');
    for (const caller of ['member:ann', 'oauth:https://issuer#ann']) {
      expect((await explain({ caller })).decision).toBe('allow');
      expect((await explain({ caller, capability: 'finance/pay' })).last.step).toBe('authorize');
    }
    expect((await explain({ caller: 'key:admin', capability: 'finance/echo' })).decision).toBe('allow');
  });
});

describe('a read of a resource', () => {
  const read = (input: object = {}, key?: string) =>
    gateway.api(
      'POST /explain',
      { caller: 'key:ci', uri: 'note://gh.hr.desk/one', ip: '10.1.2.3', ...input },
      key ?? gateway.key,
    );

  test('is told step by step as a call is, and decided as the read itself', async () => {
    const { body } = await read();
    expect(body).toMatchObject({ decision: 'allow', capability: 'hr/desk', uri: 'note://gh.hr.desk/one' });
    expect(body.steps.map(({ step }: Step) => step)).toEqual([
      'authenticate',
      'resolve',
      'authorize',
      'limit',
      'screen',
      'approve',
    ]);
    const foreign = (await read({ uri: 'note://gh.finance.desk/one' })).body;
    expect(foreign.steps.at(-1)).toMatchObject({
      step: 'authorize',
      decision: 'deny',
      why: expect.stringContaining('Resource not found'),
    });
    expect(foreign.steps.at(-1).details).toContain('No: the scope of the key does not hold finance/desk.');
    expect((await read({ uri: 'note://nowhere/one' })).body.steps.at(-1)).toMatchObject({ step: 'resolve', decision: 'deny' });
  });

  test('meets the rules of its upstream', async () => {
    await gateway.ok('PUT /policies/namespace:hr', { policy: { allow: ['capability.method != "resources/read"'] } });
    const { last } = { last: (await read()).body.steps.at(-1) };
    expect(last).toMatchObject({ step: 'authorize', decision: 'deny' });
    expect(last.details.join()).toContain('is not true');
    expect((await explain({})).decision).toBe('allow');
    await gateway.ok('PUT /policies/namespace:hr', { policy: null });
  });

  test('is asked for with its URI, and nothing else', async () => {
    for (const input of [
      { capability: 'hr/echo' },
      { method: 'tools/call' },
      { uri: undefined },
      { uri: undefined, method: 'resources/read' },
    ])
      expect((await read(input)).body.error?.message).toContain('"uri" for a resource');
  });

  test('of somebody else is for those who look after its namespace', async () => {
    const auditor = await gateway.person('hr-auditor', [{ role: 'auditor', namespace: 'hr' }]);
    expect((await read({}, auditor)).status).toBe(200);
    for (const uri of ['note://gh.finance.desk/one', 'note://nowhere/one'])
      expect((await read({ uri }, auditor)).status).toBe(403);
  });
});

describe('who may ask', () => {
  test('AZ-02: a developer about themself, in the words that the call would have', async () => {
    const developer = await gateway.person('dev', [{ role: 'developer', namespace: 'hr' }]);
    const own = await gateway.ok('POST /explain', { capability: 'hr/echo' }, developer);
    expect(own).toMatchObject({ decision: 'allow', caller: 'key:dev' });
    const ask = (input: object) => gateway.ok('POST /explain', input, developer);
    const written = (answer: object, name: string) => JSON.stringify(answer).replaceAll(name, 'NAME');
    const nowhere = '/nothing';
    for (const more of [{}, { method: 'prompts/get' }, { method: 'models/call' }, { toolbox: 'nowhere' }]) {
      const hidden = written(await ask({ capability: 'finance/echo', ...more }), 'finance/echo');
      expect(hidden).toBe(written(await ask({ capability: `finance${nowhere}`, ...more }), `finance${nowhere}`));
      expect(hidden).not.toContain('desk');
    }
    const uri = 'note://gh.finance.desk/one';
    const unread = written(await ask({ uri }), uri);
    expect(unread).toBe(written(await ask({ uri: `${uri}more` }), `${uri}more`));
    expect(unread).toContain('"capability":""');
    expect(await ask({ uri: 'note://gh.hr.desk/one' })).toMatchObject({ decision: 'allow', capability: 'hr/desk' });
    expect((await gateway.api('POST /explain', { caller: 'key:ci', capability: 'hr/echo' }, developer)).status).toBe(403);
  });
});
