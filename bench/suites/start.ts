import { untilAnswered } from '../gateway.ts';
import type { Lab } from '../lab.ts';
import { median } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

/** From the spawn of the process to the first right answer, for a client that asks every few milliseconds. */
export async function start(lab: Lab): Promise<SuiteResult> {
  const rounds = Math.max(3, lab.settings.rounds);
  const upstream = await lab.startUpstream([{ name: 'ten', tools: 10, eras: 'both' }]);
  const served = [{ namespace: 'ten', upstreams: [{ name: 'ten', tools: 10, port: upstream.ports[0]! }] }];
  const floor: number[] = [];
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    lab.say(`start: round ${round + 1} of ${rounds}`);
    const passThrough = await lab.startPassThrough(upstream.ports[0]!);
    await untilAnswered(passThrough.child, passThrough.at('modern'), { name: 'ten_echo_0', upstreamName: 'ten_echo_0' });
    floor.push(performance.now() - passThrough.child.spawnedAt);
    await passThrough.child.stop();
    const first = await lab.startGateway(served);
    cold.push(first.firstCallMs);
    await first.stop();
    const second = await lab.startGateway(served, first.data);
    warm.push(second.firstCallMs);
    await second.stop();
  }
  return {
    rows: [],
    figures: [
      { text: 'first answered call, pass-through', value: median(floor), unit: 'ms' },
      { text: 'first answered call, gateway without data', value: median(cold), unit: 'ms' },
      { text: 'first answered call, gateway with data', value: median(warm), unit: 'ms' },
    ],
    values: { 'start warm': median(warm), 'start cold': median(cold) },
  };
}
