import type { Gateway } from '../gateway.ts';
import type { Lab, UpstreamProcess } from '../lab.ts';
import type { LoadResult } from '../load.ts';
import { enough, Measurements, p99Us, rotate } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

const states = ['healthy', 'dead', 'hanging'] as const;
type State = (typeof states)[number];
const scenario = '32 callers of four upstreams that take 20 ms, 50 calls/s to the fifth';

/**
 * Five upstreams, of which one fails while the others are called. Callers of the failing one keep coming: without them
 * there would be nothing to bear. The failure begins when the measuring does, before any breaker knows of it.
 */
export async function faults(lab: Lab): Promise<SuiteResult> {
  const measured = new Measurements();
  const { rounds } = lab.settings;
  for (let round = 0; round < rounds; round += 1) {
    if (round > 0 && enough(lab, measured) !== undefined) break;
    lab.say(`faults: round ${round + 1} of ${rounds}`);
    // Five upstreams for each state, and a new gateway in each round: breakers remember.
    const plans = states.flatMap((state) => memberNames(state).map((name) => ({ name, tools: 2, eras: 'both' as const })));
    const upstream = await lab.startUpstream(plans);
    const served = plans.map(({ name, tools }, index) => ({ name, tools, port: upstream.ports[index]! }));
    const gateway = await lab.startGateway(
      states.map((namespace, index) => ({ namespace, upstreams: served.slice(index * 5, index * 5 + 5) })),
    );
    await lab.warmUp(healthyLoad(gateway, upstream, 'healthy'));
    await upstream.behave({ delayMs: 20 });
    for (const state of rotate(states, round)) {
      measured.add(scenario, `fifth ${state}`, await measureState(lab, gateway, upstream, state));
    }
    await lab.clear();
  }
  const p99Ratio = (state: State) => measured.timeRatio(scenario, `fifth ${state}`, 'fifth healthy', p99Us);
  return { rows: measured.rows(), figures: [], values: { 'one dead': p99Ratio('dead'), 'one hanging': p99Ratio('hanging') } };
}

function memberNames(state: State): string[] {
  return ['a', 'b', 'c', 'd', 'faulty'].map((member) => `${state}-${member}`);
}

function healthyLoad(gateway: Gateway, upstream: UpstreamProcess, state: State) {
  return {
    address: gateway.at(state, 'modern'),
    tools: gateway.tools(state).filter((tool) => !isFaulty(tool)),
    callers: 32,
    expected: { kind: 'echo', answerBytes: 0 },
    measuredPid: gateway.pid,
    otherPids: [upstream.child.pid],
  } as const;
}

function isFaulty(tool: { upstreamName: string }): boolean {
  return tool.upstreamName.includes('-faulty_');
}

async function measureState(lab: Lab, gateway: Gateway, upstream: UpstreamProcess, state: State): Promise<LoadResult> {
  const measureMs = Math.max(1200, lab.settings.measureMs);
  const background = lab.run({
    kind: 'calls',
    address: gateway.at(state, 'modern'),
    tools: gateway.tools(state).filter(isFaulty),
    callers: 64,
    perSecond: 50,
    expected: { kind: 'anything' },
    warmMs: 0,
    measureMs: measureMs + 400,
  });
  const measuring = lab.run({ kind: 'calls', ...healthyLoad(gateway, upstream, state), warmMs: 200, measureMs });
  await upstream.behave({ state }, states.indexOf(state) * 5 + 4);
  const [result] = await Promise.all([measuring, background]);
  return result;
}
