import type { Lab } from '../lab.ts';
import { measureRounds, p50Us, type Scenario } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

/**
 * Small calls of the same tool, once as a tool of an MCP server and once as an operation of an HTTP API that was converted: the request
 * is built, the answer is checked against the schema of the description, and both come back as text and as structured content.
 */
export async function converted(lab: Lab): Promise<SuiteResult> {
  const upstream = await lab.startUpstream([{ name: 'echo', tools: 10, eras: 'both' }]);
  const [port] = upstream.ports as [number];
  const federation = await lab.startGateway([{ namespace: 'served', upstreams: [{ name: 'echo', tools: 10, port }] }]);
  const api = await lab.startGateway([{ namespace: 'served', upstreams: [{ name: 'echo', tools: 10, port, isApi: true }] }]);
  const loads = (callers: number): Scenario['targets'] =>
    [
      { name: 'federated', gateway: federation, expected: { kind: 'echo', answerBytes: 0 } as const },
      { name: 'converted', gateway: api, expected: { kind: 'converted' } as const },
    ].map(({ name, gateway, expected }) => ({
      name,
      job: {
        address: gateway.at('served', 'modern'),
        tools: gateway.tools('served'),
        callers,
        expected,
        measuredPid: gateway.pid,
        otherPids: [upstream.child.pid],
      },
    }));
  const measured = await measureRounds(lab, 'converted', [
    { name: manyCallers, targets: loads(64) },
    { name: oneCaller, targets: loads(1), warm: loads(1).map(({ name }) => name) },
  ]);
  return {
    rows: measured.rows(),
    figures: [],
    values: {
      'converted cpu': measured.cpuRatio(manyCallers, 'converted', 'federated'),
      'converted p50': measured.timeRatio(oneCaller, 'converted', 'federated', p50Us),
    },
  };
}

const manyCallers = '64 callers, modern, JSON';
const oneCaller = '1 caller, modern, JSON';
