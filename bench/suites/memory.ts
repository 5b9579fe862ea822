import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../lab.ts';
import { memoryBytes } from '../meter.ts';
import { median } from '../rounds.ts';
import { megabyte, type SuiteResult } from './suite.ts';

const sessionsPerBatch = 2000;

/** Memory of the gateway at rest, for idle legacy sessions, and after calls. */
export async function memory(lab: Lab): Promise<SuiteResult> {
  const { isQuick } = lab.settings;
  lab.say('memory: at rest');
  const upstream = await lab.startUpstream([{ name: 'ten', tools: 10, eras: 'both' }]);
  const gateway = await lab.startGateway([
    { namespace: 'ten', upstreams: [{ name: 'ten', tools: 10, port: upstream.ports[0]! }] },
  ]);
  await sleep(isQuick ? 1500 : 5000);
  const atRest = memoryBytes(gateway.pid);

  lab.say('memory: after calls');
  const load = {
    kind: 'calls',
    tools: gateway.tools('ten'),
    callers: 64,
    expected: { kind: 'echo', answerBytes: 0 },
    warmMs: 0,
    measureMs: isQuick ? 3000 : 10_000,
  } as const;
  await lab.run({ ...load, address: gateway.at('ten', 'modern') });
  const afterCalls = memoryBytes(gateway.pid);

  // The heap has its working size now, so that what sessions leave behind is not mistaken for what any request needs. The
  // first batch still grows it; the median of the others is what a session costs.
  const perSession: (number | undefined)[] = [];
  let before: number | undefined;
  for (let batch = 0; batch < 4; batch += 1) {
    lab.say(`memory: sessions ${batch * sessionsPerBatch} to ${(batch + 1) * sessionsPerBatch}`);
    await lab.openSessions({ kind: 'sessions', address: gateway.at('ten', 'legacy'), count: sessionsPerBatch, callers: 16 });
    await sleep(isQuick ? 500 : 2000);
    const now = memoryBytes(gateway.pid);
    if (batch > 0 && now !== undefined && before !== undefined) perSession.push((now - before) / sessionsPerBatch);
    before = now;
  }
  const session = median(perSession);
  return {
    rows: [],
    figures: [
      { text: 'memory at rest', value: inMegabytes(atRest), unit: 'MB' },
      { text: 'memory after calls of 64 callers', value: inMegabytes(afterCalls), unit: 'MB' },
      { text: `memory with ${4 * sessionsPerBatch} idle sessions more`, value: inMegabytes(before), unit: 'MB' },
      { text: 'memory per idle session', value: session === undefined ? undefined : session / 1024, unit: 'KB' },
    ],
    values: {
      'memory at rest': inMegabytes(atRest),
      'memory per session': session === undefined ? undefined : session / 1024,
    },
  };
}

export function inMegabytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / megabyte;
}
