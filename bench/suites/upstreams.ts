import type { Lab } from '../lab.ts';
import { callsPerSecond, measureRounds, type Scenario } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

/** The same load spread over 2 and over 20 upstreams. At 20 ms the callers are so many that the gateway is what limits. */
export async function upstreams(lab: Lab): Promise<SuiteResult> {
  const plans = (count: number, prefix: string) =>
    Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}`, tools: 10, eras: 'both' as const }));
  const open = async (namespace: string, count: number) => {
    const served = plans(count, namespace);
    const upstream = await lab.startUpstream(served);
    const gateway = await lab.startGateway([
      { namespace, upstreams: served.map(({ name, tools }, index) => ({ name, tools, port: upstream.ports[index]! })) },
    ]);
    return { upstream, gateway, namespace };
  };
  const [two, twenty] = [await open('two', 2), await open('twenty', 20)];
  const scenario = (name: string, callers: number, delayMs: number): Scenario => ({
    name,
    prepare: async () => {
      await Promise.all([two.upstream.behave({ delayMs }), twenty.upstream.behave({ delayMs })]);
    },
    targets: [two, twenty].map(({ upstream, gateway, namespace }) => ({
      name: `${namespace} upstreams`,
      job: {
        address: gateway.at(namespace, 'modern'),
        tools: gateway.tools(namespace),
        callers,
        expected: { kind: 'echo', answerBytes: 0 },
        measuredPid: gateway.pid,
        otherPids: [upstream.child.pid],
      },
    })),
  });
  const { isQuick } = lab.settings;
  const measured = await measureRounds(lab, 'upstreams', [...(isQuick ? [] : [scenario(fast, 64, 0)]), scenario(slow, 256, 20)]);
  const share = measured.compare(slow, ['twenty upstreams'], (result) => (result!.callsPerSecond * 0.02) / 256, 'times');
  return {
    rows: measured.rows(),
    figures: [
      ...(isQuick ? [] : [{ text: '20 upstreams against 2, without latency', value: ratio(fast)?.value, unit: 'x' }]),
      { text: '256 callers, 20 ms: share of what waiting alone would allow, 20 upstreams', value: share?.value, unit: 'x' },
    ],
    values: { 'twenty upstreams': ratio(slow) },
  };

  function ratio(name: string) {
    return measured.timeRatio(name, 'twenty upstreams', 'two upstreams', callsPerSecond);
  }
}

const fast = '64 callers, upstreams without latency';
const slow = '256 callers, upstreams that take 20 ms';
