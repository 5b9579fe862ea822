import type { Lab } from '../lab.ts';
import { Measurements, p99Us, rotate } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

const states = ['healthy', 'dead', 'hanging'] as const;
const names = ['a', 'b', 'c', 'd', 'faulty'];
const scenario = '32 callers of four upstreams that take 20 ms, 50 calls/s to the fifth';

/**
 * Five upstreams, of which one fails while the others are called. Callers of the failing one keep coming: without them
 * there would be nothing to bear. The failure begins when the measuring does, before any breaker knows of it.
 */
export async function faults(lab: Lab): Promise<SuiteResult> {
  const measured = new Measurements();
  const { rounds, deadline } = lab.settings;
  for (let round = 0; round < rounds; round += 1) {
    if (round > 0 && performance.now() > deadline) break;
    lab.say(`faults: round ${round + 1} of ${rounds}`);
    for (const state of rotate(states, round)) {
      measured.add(scenario, `fifth ${state}`, await measureState(lab, state));
      // A new gateway for each state: breakers remember.
      await lab.clear();
    }
  }
  const p99Ratio = (state: string) => measured.timeRatio(scenario, `fifth ${state}`, 'fifth healthy', p99Us);
  return { rows: measured.rows(), figures: [], values: { 'one dead': p99Ratio('dead'), 'one hanging': p99Ratio('hanging') } };
}

async function measureState(lab: Lab, state: (typeof states)[number]) {
  const upstream = await lab.startUpstream(names.map((name) => ({ name, tools: 2, eras: 'both' })));
  await upstream.behave({ delayMs: 20 });
  const gateway = await lab.startGateway([
    { namespace: 'five', upstreams: names.map((name, index) => ({ name, tools: 2, port: upstream.ports[index]! })) },
  ]);
  const address = gateway.at('five', 'modern');
  const isFaulty = (tool: { upstreamName: string }) => tool.upstreamName.startsWith('faulty');
  const tools = gateway.tools('five');
  const healthy = {
    kind: 'calls',
    address,
    tools: tools.filter((tool) => !isFaulty(tool)),
    callers: 32,
    expected: { kind: 'echo', answerBytes: 0 },
    measuredPid: gateway.pid,
    otherPids: [upstream.child.pid],
  } as const;
  await lab.run({ ...healthy, warmMs: 0, measureMs: 300 });
  const measureMs = Math.max(1200, lab.settings.measureMs);
  const background = lab.run({
    kind: 'calls',
    address,
    tools: tools.filter(isFaulty),
    callers: 64,
    perSecond: 50,
    expected: { kind: 'anything' },
    warmMs: 0,
    measureMs: measureMs + 400,
  });
  const measuring = lab.run({ ...healthy, warmMs: 200, measureMs });
  await upstream.behave({ state }, names.indexOf('faulty'));
  const [result] = await Promise.all([measuring, background]);
  return result;
}
