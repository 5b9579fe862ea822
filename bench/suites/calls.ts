import type { Lab } from '../lab.ts';
import type { Era } from '../messages.ts';
import { memoryBytes } from '../meter.ts';
import { callsPerSecond, measureRounds, type Scenario } from '../rounds.ts';
import type { Behaviour } from '../upstream.ts';
import { Stand, type TargetName } from './stand.ts';
import { megabyte, type SuiteResult } from './suite.ts';

type Format = Behaviour['format'];

/**
 * Small calls, at the load of one, 16 and 64 callers. Modern clients call a server of both eras, legacy clients one that is
 * legacy only: so the gateway speaks the same era on both sides, as the pass-through does.
 */
export async function calls(lab: Lab): Promise<SuiteResult> {
  const stand = await Stand.open(lab, [
    { name: 'modern', tools: 10, eras: 'both' },
    { name: 'legacy', tools: 10, eras: 'legacy' },
    { name: 'many', tools: 1000, eras: 'both' },
  ]);
  const measured = await measureRounds(lab, 'calls', lab.settings.isQuick ? quickScenarios(stand) : allScenarios(stand));
  const cpu = (scenario: string) => measured.cpuRatio(scenario, 'gatehouse', 'pass-through');
  const rate = (scenario: string) => measured.timeRatio(scenario, 'gatehouse', 'pass-through', callsPerSecond);
  const memory = memoryBytes(stand.gateway.pid);
  return {
    rows: measured.rows(),
    figures: [{ text: 'memory of the gateway after the calls', value: memory && memory / megabyte, unit: 'MB' }],
    values: {
      'cpu modern json': cpu(named(64, 'modern', 'json')),
      'cpu modern sse': cpu(named(64, 'modern', 'sse')),
      'cpu modern many': cpu(manyTools),
      'cpu legacy json': cpu(named(64, 'legacy', 'json')),
      'cpu legacy sse': cpu(named(64, 'legacy', 'sse')),
      'rate modern json': rate(named(64, 'modern', 'json')),
      'rate modern sse': rate(named(64, 'modern', 'sse')),
      'rate modern many': rate(manyTools),
      'rate legacy json': rate(named(64, 'legacy', 'json')),
      'rate legacy sse': rate(named(64, 'legacy', 'sse')),
      'added p50 modern': measured.addedP50Ratio(named(1, 'modern', 'json'), 'gatehouse'),
      'added p50 legacy': measured.addedP50Ratio(named(1, 'legacy', 'json'), 'gatehouse'),
    },
  };
}

const manyTools = '64 callers, modern, JSON, 1,000 tools';
const compared: readonly TargetName[] = ['pass-through', 'gatehouse'];
const allTargets: readonly TargetName[] = ['direct', ...compared];

function named(callers: number, era: Era, format: Format): string {
  return `${callers} ${callers === 1 ? 'caller' : 'callers'}, ${era}, ${format.toUpperCase()}`;
}

function allScenarios(stand: Stand): Scenario[] {
  const grid = [1, 16, 64].flatMap((callers) =>
    (['modern', 'legacy'] as const).flatMap((era) =>
      (['json', 'sse'] as const).map((format) => scenario(stand, callers, era, format, allTargets)),
    ),
  );
  return [...grid, many(stand, allTargets)];
}

/** What the bars need and no more. */
function quickScenarios(stand: Stand): Scenario[] {
  const eras = ['modern', 'legacy'] as const;
  return [
    ...eras.flatMap((era) => (['json', 'sse'] as const).map((format) => scenario(stand, 64, era, format, compared))),
    ...eras.map((era) => ({ ...scenario(stand, 1, era, 'json', allTargets), warm: compared })),
    many(stand, compared),
  ];
}

function scenario(stand: Stand, callers: number, era: Era, format: Format, targets: readonly TargetName[]): Scenario {
  return {
    name: named(callers, era, format),
    prepare: () => stand.behave({ format }),
    targets: stand.targets(targets, { server: era === 'modern' ? 0 : 1, era, callers, method: 'tools/call', expected: small }),
  };
}

function many(stand: Stand, targets: readonly TargetName[]): Scenario {
  return {
    name: manyTools,
    prepare: () => stand.behave({ format: 'json' }),
    targets: stand.targets(targets, { server: 2, era: 'modern', callers: 64, method: 'tools/call', expected: small }),
  };
}

const small = { kind: 'echo', answerBytes: 0 } as const;
