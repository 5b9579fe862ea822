import type { Lab } from '../lab.ts';
import { memoryBytes } from '../meter.ts';
import { divide, Measurements, median } from '../rounds.ts';
import { inMegabytes } from './memory.ts';
import type { SuiteResult } from './suite.ts';

const calls = 1_000_000;
const withinMs = 20 * 60_000;

/** A million calls, half of them legacy. Memory may rise while the heap finds its size, then it has to stay. */
export async function soak(lab: Lab): Promise<SuiteResult> {
  const upstream = await lab.startUpstream([{ name: 'ten', tools: 10, eras: 'both' }]);
  const gateway = await lab.startGateway([
    { namespace: 'ten', upstreams: [{ name: 'ten', tools: 10, port: upstream.ports[0]! }] },
  ]);
  const measured = new Measurements();
  const samples: number[] = [];
  const parts = 20;
  for (let part = 0; part < parts; part += 1) {
    lab.say(`soak: ${(calls / parts) * part} calls of ${calls}`);
    const era = part % 2 === 0 ? 'modern' : 'legacy';
    const running = lab.run({
      kind: 'calls',
      address: gateway.at('ten', era),
      tools: gateway.tools('ten'),
      callers: 64,
      expected: { kind: 'echo', answerBytes: 0 },
      measuredPid: gateway.pid,
      otherPids: [upstream.child.pid],
      warmMs: 0,
      measureMs: withinMs / parts,
      maxCalls: calls / parts,
    });
    const sampling = setInterval(() => samples.push(memoryBytes(gateway.pid) ?? Number.NaN), 500);
    measured.add('64 callers, a million calls', era, await running.finally(() => clearInterval(sampling)));
  }
  const rows = measured.rows();
  const done = rows.flatMap((row) => row.rounds).reduce((sum, result) => sum + result.calls, 0);
  const fifth = Math.floor(samples.length / 5);
  const second = median(samples.slice(fifth, 2 * fifth));
  const last = median(samples.slice(-fifth));
  const growth = divide(last, second);
  const isComplete = done >= calls && rows.every((row) => row.wrong === 0);
  return {
    rows,
    figures: [
      { text: 'right answers', value: done, unit: 'calls' },
      { text: 'memory in the second fifth', value: inMegabytes(second), unit: 'MB' },
      { text: 'memory in the last fifth', value: inMegabytes(last), unit: 'MB' },
    ],
    values: { 'memory growth': growth === undefined || !isComplete ? undefined : (growth - 1) * 100 },
  };
}
