import { untilAnswered } from '../gateway.ts';
import type { Lab } from '../lab.ts';
import { cpuMicros, machineMicros } from '../meter.ts';
import { type Estimate, isCalm, median } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

/**
 * From the spawn of the process to the first right answer, for a client that asks every few milliseconds. The bar is for the
 * fastest start: whatever else a machine does can only add to it.
 */
export async function start(lab: Lab): Promise<SuiteResult> {
  const rounds = Math.max(Math.min(5, 3 * lab.calmRounds), lab.settings.rounds);
  const upstream = await lab.startUpstream([{ name: 'ten', tools: 10, eras: 'both' }]);
  const served = [{ namespace: 'ten', upstreams: [{ name: 'ten', tools: 10, port: upstream.ports[0]! }] }];
  const floor: Start[] = [];
  const cold: Start[] = [];
  const warm: Start[] = [];
  const timed = async <T extends Started>(list: Start[], run: () => Promise<readonly [T, number]>): Promise<T> => {
    const clocks = () =>
      [performance.now(), machineMicros(lab.placement.cpus) ?? Number.NaN, ownMicros(upstream.child.pid)] as const;
    const [ms, machineUs, ownUs] = clocks();
    const [started, firstCallMs] = await run();
    const [msAfter, machineUsAfter, ownUsAfter] = clocks();
    const foreignUs = machineUsAfter - machineUs - (ownUsAfter - ownUs) - (cpuMicros(started.pid) ?? Number.NaN);
    const foreign = foreignUs / 1000 / (msAfter - ms) / (lab.placement.cpus?.length ?? 1);
    list.push({ ms: firstCallMs, foreign: Number.isNaN(foreign) ? undefined : foreign });
    await started.stop();
    return started;
  };
  for (let round = 0; round < rounds; round += 1) {
    lab.say(`start: round ${round + 1} of ${rounds}`);
    await timed(floor, async () => {
      const { child, at } = await lab.startPassThrough(upstream.ports[0]!);
      await untilAnswered(child, at('modern'), { name: 'ten_echo_0', upstreamName: 'ten_echo_0' });
      return [child, performance.now() - child.spawnedAt];
    });
    const startGateway = async (data?: string) => {
      const gateway = await lab.startGateway(served, data === undefined ? {} : { data });
      return [gateway, gateway.firstCallMs] as const;
    };
    const { data } = await timed(cold, () => startGateway());
    await timed(warm, () => startGateway(data));
  }
  return {
    rows: [],
    figures: [
      { text: 'first answered call, pass-through, median', value: median(floor.map(({ ms }) => ms)), unit: 'ms' },
      { text: 'first answered call, gateway without data, median', value: median(cold.map(({ ms }) => ms)), unit: 'ms' },
      { text: 'first answered call, gateway with data, median', value: median(warm.map(({ ms }) => ms)), unit: 'ms' },
    ],
    values: { 'start warm': fastest(warm), 'start cold': fastest(cold) },
  };
}

interface Start {
  readonly ms: number;
  readonly foreign: number | undefined;
}

interface Started {
  readonly pid: number;
  stop(): Promise<void>;
}

function fastest(starts: readonly Start[]): Estimate {
  const times = starts.map(({ ms }) => ms);
  return { value: Math.min(...times), low: Math.min(...times), high: Math.max(...times), isDoubtful: !starts.some(isCalm) };
}

function ownMicros(upstreamPid: number): number {
  const { user, system } = process.cpuUsage();
  return user + system + (cpuMicros(upstreamPid) ?? Number.NaN);
}
