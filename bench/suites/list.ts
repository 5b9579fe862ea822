import type { Lab } from '../lab.ts';
import type { Era } from '../messages.ts';
import { measureRounds, p50Us } from '../rounds.ts';
import { Stand } from './stand.ts';
import type { SuiteResult } from './suite.ts';

const tools = 1000;

/** `tools/list` of 1,000 tools, compared with the upstream's own list, which it must not ask for. */
export async function list(lab: Lab): Promise<SuiteResult> {
  const stand = await Stand.open(lab, [{ name: 'many', tools, eras: 'both' }]);
  const before = await stand.upstream.counts();
  const measured = await measureRounds(
    lab,
    'list',
    (['modern', 'legacy'] as const).map((era) => ({
      name: named(era),
      // No pass-through: its lists are the upstream's own and would be counted.
      targets: stand.targets(['direct', 'gatehouse'], {
        server: 0,
        era,
        callers: 1,
        method: 'tools/list',
        expected: { kind: 'list', tools },
      }),
    })),
  );
  const after = await stand.upstream.counts();
  const lists = after.lists - before.lists;
  return {
    rows: measured.rows(),
    figures: [{ text: 'lists asked of the upstream behind the gateway', value: lists, unit: 'lists' }],
    values: { 'list p50': measured.timeRatio(named('modern'), 'gatehouse', 'direct', p50Us), 'list upstream': lists },
  };
}

function named(era: Era): string {
  return `1 caller, ${era}, list of 1,000 tools`;
}
