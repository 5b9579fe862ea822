import { describe, expect, test } from 'vitest';
import { approve, type Clearance, gatesOver, isGatedByDefault } from '../../src/call/approve.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { callUpstream, Lanes } from '../../src/call/call-upstream.ts';
import type { Course } from '../../src/call/record.ts';
import type { Screened } from '../../src/call/screen.ts';
import { buildPolicies } from '../../src/policy/policy.ts';
import type { Policy } from '../../src/policy/policy-schema.ts';
import { memorySightings } from '../../src/store/memory/memory-sightings.ts';
import { openSightings } from '../../src/store/sightings.ts';
import { askFor } from '../support/call-ports.ts';
import { cpuMs } from '../support/cpu-time.ts';

const course = { trace: { step() {} } } as unknown as Course;
const ports = {
  clock: { nowMs: () => 0 },
  approvals: { pass: async () => ({ id: 'ap', round: 0 }) },
  sightings: openSightings(() => memorySightings({ nowMs: () => 0 }), { clock: { nowMs: () => 0 }, warn: () => {} }),
};

async function screened(policy: Policy, { kind = 'mcp', annotations = {}, tool = true, gated = false } = {}): Promise<Screened> {
  const policies = await buildPolicies([{ scope: { kind: 'namespace', namespace: 'support' }, policy }]);
  return {
    caller: authenticateLocalUser('all'),
    capability: 'support/x',
    namespace: 'support',
    member: {
      id: 'support/a',
      config: { kind },
      upstream: { offer: () => ({ gatedByDefault: gated ? new Set(['x']) : undefined }) },
    },
    toolbox: { name: '' },
    params: { name: 'x', arguments: { a: 1 } },
    tool: tool ? { name: 'x', inputSchema: {}, annotations } : undefined,
    policy: policies.of('support/x', 'support'),
  } as unknown as Screened;
}

describe('the step', () => {
  test.each<[string, Policy]>([
    ['without gates', {}],
    ['with gates for others', { gates: [{ match: 'support/y' }] }],
    ['with gates whose rule says no', { gates: [{ when: 'args.a == 2' }] }],
  ])('a call %s goes on at once, as the very value that came', async (_what, policy) => {
    const call = await screened(policy);
    expect(approve(ports, call, askFor(), course)).toBe(call);
  });

  test('a call that a gate holds waits for its approval, and carries it on', async () => {
    const cleared = approve(ports, await screened({ gates: [{ when: 'args.a == 1' }] }), askFor(), course);
    expect(cleared).toBeInstanceOf(Promise);
    expect((await cleared).approval).toEqual({ id: 'ap', round: 0 });
  });

  test('what only reads is not held', async () => {
    const call = await screened({ gates: [{}] }, { tool: false });
    expect(approve(ports, call, askFor(), course)).toBe(call);
  });

  test('a model is held by whichever address it is called, and goes on at once where no gate is for it', async () => {
    const model = { kind: 'model', tool: false };
    const held = approve(
      ports,
      await screened({ gates: [{ when: 'capability.method == "models/call"' }] }, model),
      askFor(),
      course,
    );
    expect(held).toBeInstanceOf(Promise);
    await held;
    const free = await screened({ gates: [{ match: 'support/y' }] }, model);
    expect(approve(ports, free, askFor(), course)).toBe(free);
  });

  test('what the gateway itself asks of a model for a call is not held', async () => {
    const call = await screened({ gates: [{}] }, { kind: 'model', tool: false });
    expect(approve(ports, call, { ...askFor(), isJudging: true }, course)).toBe(call);
    await expect(Promise.resolve(approve(ports, call, askFor(), course))).resolves.toMatchObject({ approval: { id: 'ap' } });
  });

  test('leaving it out does not compile', async () => {
    const call = await screened({});
    // @ts-expect-error: what was only screened may not go out.
    const skipped: Clearance = call;
    // @ts-expect-error: neither may it be sent.
    const send = () => callUpstream(new Lanes(), call, askFor(), course);
    expect([skipped, typeof send]).toEqual([call, 'function']);
  });

  test('costs a call without gates next to nothing', async () => {
    const call = await screened({});
    const ask = askFor();
    const turn = () => {
      const startedAt = cpuMs();
      for (let n = 0; n < 200_000; n++) void approve(ports, call, ask, course);
      return ((cpuMs() - startedAt) * 1000) / 200_000;
    };
    turn();
    expect(Math.min(turn(), turn(), turn())).toBeLessThan(0.2);
  });
});

describe('what removes something', () => {
  const destructive = { annotations: { destructiveHint: true } };
  const gates = async (policy: Policy, kind: string) =>
    (await gatesOver(ports.sightings, await screened(policy, { kind, gated: kind === 'openapi', ...destructive }), '', 0)).map(
      ({ source }) => source,
    );

  test('waits where it was made of an API description, until a policy says otherwise', async () => {
    expect(await gates({}, 'openapi')).toEqual(['default']);
    expect(await gates({ gateDestructive: false }, 'openapi')).toEqual([]);
    expect(await gates({ gates: [{ match: 'support/x' }] }, 'openapi')).toEqual(['namespace support']);
    expect(await gates({ gates: [{ match: 'support/x', when: 'false' }] }, 'openapi')).toEqual([]);
    expect(await gates({ gates: [{ match: 'support/y' }] }, 'openapi')).toEqual(['default']);
  });

  test('does not wait because an upstream says of its own tool that it does', async () => {
    expect(await gates({}, 'mcp')).toEqual([]);
    const { tool, member } = await screened({}, { kind: 'openapi' });
    expect(isGatedByDefault({ tool, member })).toBe(false);
  });
});
