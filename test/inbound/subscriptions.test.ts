import { pino } from 'pino';
import { expect, test } from 'vitest';
import { authenticateLocalUser, type Caller } from '../../src/call/authenticate.ts';
import { buildCatalog } from '../../src/catalog/build.ts';
import { Subscriptions } from '../../src/inbound/mcp/subscriptions.ts';
import { buildPolicies } from '../../src/policy/policy.ts';
import type { Policy } from '../../src/policy/policy-schema.ts';
import { memberOf, namespaceConfig, upstreamConfig } from '../catalog/offering-upstream.ts';

const member = memberOf(upstreamConfig('hr/main'), { resources: [{ uri: 'res://one', name: 'one' }] });
const catalog = buildCatalog(1, [namespaceConfig('hr', [member.config])], new Map([[member.id, member]]));
const uri = 'res://gh.hr.main/one';

async function setUp(ip = '10.0.0.1') {
  const subscriptions = new Subscriptions(pino({ level: 'silent' }));
  let policies = await buildPolicies([]);
  let caller: Caller = authenticateLocalUser('all');
  const heard: string[] = [];
  return {
    heard,
    become: (other: Caller) => {
      caller = other;
    },
    govern: async (policy: Policy) => {
      policies = await buildPolicies([{ scope: { kind: 'global' }, policy }]);
    },
    subscribe: () =>
      subscriptions.add(catalog, {
        circumstances: () => ({ policies, ip, nowMs: 0, maySeeAction: () => false }),
        caller: () => caller,
        toolbox: '',
        uri,
        onUpdated: (updated) => heard.push(updated),
      }),
    update: () => subscriptions.updated('hr/main', 'res://one'),
  };
}

test('who may read a resource hears of its changes, until they say so', async () => {
  const { heard, subscribe, update } = await setUp();
  const end = await subscribe();
  update();
  expect(heard).toEqual([uri]);
  end();
  update();
  expect(heard).toEqual([uri]);
});

test('who may not read it is told that there is none', async () => {
  const { subscribe, govern } = await setUp();
  await govern({ allow: [] });
  await expect(subscribe()).rejects.toMatchObject({ code: 'unknown_capability' });
});

test('who may not read it any more hears nothing, and again once they may', async () => {
  const { heard, subscribe, update, govern } = await setUp();
  await subscribe();
  for (const policy of [{ allow: [] }, { network: ['203.0.113.0/24'] }]) {
    await govern(policy);
    update();
    expect(heard).toEqual([]);
  }
  await govern({ network: ['10.0.0.0/8'] });
  update();
  expect(heard).toEqual([uri]);
});

test('whose rights were narrowed meanwhile hears nothing, and again once they are back', async () => {
  const { heard, subscribe, update, become } = await setUp();
  await subscribe();
  become(authenticateLocalUser(new Set(['other'])));
  update();
  expect(heard).toEqual([]);
  become(authenticateLocalUser('all'));
  update();
  expect(heard).toEqual([uri]);
});
