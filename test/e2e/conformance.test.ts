import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  judge,
  listScenarios,
  type Revision,
  readExpectedFailures,
  runClientScenario,
  runServerSuite,
} from '../support/conformance.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { startNamingShim } from '../support/naming-shim.ts';
import { expectNoneLeft, type Spawned, startFixture } from '../support/processes.ts';

const isLong = process.env.TEST_LONG !== undefined;
let legacy: Spawned & { url: string };
let modern: Spawned & { url: string };
let gateway: Gateway;

beforeAll(async () => {
  [legacy, modern] = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  gateway = await startGateway([
    `
namespace: old
upstreams:
  fixture: { kind: mcp, url: "${legacy.url}", era: legacy }
toolboxes:
  old-own-names: { include: ["old/*"], names: one-to-one }
  old-prefixed: { include: ["old/*"] }
`,
    `
namespace: new
upstreams:
  fixture: { kind: mcp, url: "${modern.url}", era: modern }
toolboxes:
  new-own-names: { include: ["new/*"], names: one-to-one }
  new-prefixed: { include: ["new/*"] }
`,
  ]);
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all([legacy?.stop(), modern?.stop()]);
  await expectNoneLeft();
});

describe('the fixtures themselves conform, so that a failure below is the gateway’s', () => {
  test.each([
    { revision: '2025-11-25', url: () => legacy.url },
    { revision: '2026-07-28', url: () => modern.url },
  ] as const)('$revision alone', async ({ revision, url }) => {
    const expected = readExpectedFailures(`${revision} alone`);
    expect(judge(await runServerSuite(url(), revision), listScenarios(revision, 'server'), expected)).toEqual([]);
  });
});

const pairings = [
  { revision: '2025-11-25', upstream: 'legacy', namespace: 'old' },
  { revision: '2026-07-28', upstream: 'modern', namespace: 'new' },
  { revision: '2025-11-25', upstream: 'modern', namespace: 'new' },
  { revision: '2026-07-28', upstream: 'legacy', namespace: 'old' },
] as const;

describe.each(pairings)('$revision to a $upstream upstream', ({ revision, upstream, namespace }) => {
  test.each([
    { names: 'one-to-one', toolbox: `${namespace}-own-names`, bare: undefined },
    { names: 'prefixed', toolbox: `${namespace}-prefixed`, bare: { namespace, upstream: 'fixture' } },
  ])('$names', async ({ names, toolbox, bare }) => {
    const shim = await startNamingShim({
      target: gateway.mcpUrl(toolbox),
      key: gateway.key,
      ...(bare === undefined ? {} : { bare }),
    });
    try {
      const results = await runServerSuite(shim.url, revision);
      const expected = readExpectedFailures(`${revision} to a ${upstream} upstream, ${names}`);
      expect(judge(results, listScenarios(revision, 'server'), expected)).toEqual([]);
    } finally {
      await shim.stop();
    }
  });
});

const command = [process.execPath, new URL('../support/conformance-client.ts', import.meta.url).pathname];
const revisions: readonly Revision[] = ['2025-11-25', '2026-07-28'];

describe.each(revisions)('%s as a client', (revision) => {
  const required = listScenarios(revision, 'client');
  const expected = readExpectedFailures(`${revision} as a client`);

  test('expects failures of these scenarios only', () => {
    expect(Object.keys(expected).filter((name) => !required.includes(name.replace(/:.*$/, '')))).toEqual([]);
  });

  test.each(required.filter((scenario) => isLong || !scenario.startsWith('auth/')))('%s', async (scenario) => {
    const results = await runClientScenario(command, scenario, revision, {});
    const isOf = (name: string): boolean => name === scenario || name.startsWith(`${scenario}:`);
    const ofScenario = Object.entries(expected).filter(([name]) => isOf(name));
    expect(judge(results, [scenario], Object.fromEntries(ofScenario))).toEqual([]);
  });
});
