import type { Lab } from '../lab.ts';
import { type Era, payloadBytes } from '../messages.ts';
import { memoryBytes } from '../meter.ts';
import { measureRounds, type Scenario } from '../rounds.ts';
import type { Behaviour } from '../upstream.ts';
import { Stand } from './stand.ts';
import { megabyte, type SuiteResult } from './suite.ts';

/** Answers of 100 KB for 16 callers: what they cost tells whether somebody parses, copies or re-encodes them. */
export async function payload(lab: Lab): Promise<SuiteResult> {
  const stand = await Stand.open(lab, [
    { name: 'modern', tools: 10, eras: 'both' },
    { name: 'legacy', tools: 10, eras: 'legacy' },
  ]);
  const scenario = (era: Era, format: Behaviour['format'], shape: 'text' | 'items'): Scenario => ({
    name: named(era, format, shape),
    prepare: () => stand.behave({ format, payload: shape }),
    targets: stand.targets(lab.settings.isQuick ? ['pass-through', 'gatehouse'] : ['direct', 'pass-through', 'gatehouse'], {
      server: era === 'modern' ? 0 : 1,
      era,
      callers: 16,
      method: 'tools/call',
      expected: { kind: 'echo', answerBytes: payloadBytes },
    }),
  });
  const scenarios = [scenario('modern', 'json', 'text'), scenario('modern', 'json', 'items')];
  if (!lab.settings.isQuick) scenarios.push(scenario('modern', 'sse', 'text'), scenario('legacy', 'sse', 'items'));
  const measured = await measureRounds(lab, 'payload', scenarios);
  const cpu = (shape: 'text' | 'items') => measured.cpuRatio(named('modern', 'json', shape), 'gatehouse', 'pass-through');
  const memory = memoryBytes(stand.gateway.pid);
  return {
    rows: measured.rows(),
    figures: [{ text: 'memory of the gateway after the large answers', value: memory && memory / megabyte, unit: 'MB' }],
    values: { 'cpu 100 kb text': cpu('text'), 'cpu 100 kb items': cpu('items') },
  };
}

function named(era: Era, format: Behaviour['format'], shape: 'text' | 'items'): string {
  return `16 callers, ${era}, ${format.toUpperCase()}, 100 KB in ${shape === 'text' ? 'one text' : 'many items'}`;
}
