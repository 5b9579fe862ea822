import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../../src/clock.ts';
import { openJournal } from '../../src/journal/journal.ts';
import type { Edit } from '../../src/registry/registry.ts';
import { newMasterKey, openRegistrar, placeSettings } from '../../test/support/registrar.ts';
import type { Gateway } from '../gateway.ts';
import type { Lab } from '../lab.ts';
import { divide, measureRounds, median, p50Us, type Scenario } from '../rounds.ts';
import type { SuiteResult } from './suite.ts';

/**
 * Small calls with everything on that holds a call: a key with a consumer, four limits, a rule, the check of arguments, content rules in
 * both directions, the journal. Beside it the federation alone, which checks arguments and keeps the journal too, and a gateway where
 * much more is registered.
 */
export async function governed(lab: Lab): Promise<SuiteResult> {
  const plans = [few, many].map(({ tools }) => ({ name: 'echo', tools, eras: 'both' as const }));
  const upstream = await lab.startUpstream(plans);
  const [fewPort, manyPort] = upstream.ports as [number, number];
  const floor = await lab.startPassThrough(fewPort);
  const federation = await lab.startGateway([served(fewPort, few)]);
  const small = await startGoverned(lab, fewPort, few);
  const large = await startGoverned(lab, manyPort, many);
  const otherPids = [upstream.child.pid];
  const of = (gateway: Gateway, key?: string) => ({
    address: { ...gateway.at(namespace, 'modern'), ...(key === undefined ? {} : { key }) },
    tools: gateway.tools(namespace),
    measuredPid: gateway.pid,
    otherPids,
  });
  const echo = { kind: 'echo', answerBytes: 0 } as const;
  const loads = (callers: number): Scenario['targets'] => [
    {
      name: 'pass-through',
      job: {
        address: floor.at('modern'),
        tools: federation.tools(namespace).map(({ upstreamName }) => ({ name: upstreamName, upstreamName })),
        callers,
        expected: echo,
        measuredPid: floor.child.pid,
        otherPids,
      },
    },
    { name: 'federation', job: { ...of(federation), callers, expected: echo } },
    { name: 'gatehouse', job: { ...of(small.gateway), callers, expected: echo } },
  ];
  const measured = await measureRounds(lab, 'governed', [
    {
      name: busy,
      targets: [
        ...loads(64),
        { name: 'much registered', job: { ...of(large.gateway), callers: 64, expected: echo } },
        { name: '401', job: { ...of(small.gateway, small.stranger), callers: 64, expected: { kind: 'refusal', status: 401 } } },
        { name: '429', job: { ...of(small.gateway, small.spent), callers: 64, expected: { kind: 'refusal', status: 429 } } },
      ],
    },
    { name: calm, targets: loads(1), warm: loads(1).map(({ name }) => name) },
  ]);
  const cpu = (target: string, to: string) => measured.cpuRatio(busy, target, to);
  const added = measured.compare(calm, ['gatehouse', 'federation'], (one, other) => p50Us(one!)! - p50Us(other!)!, 'times');
  return {
    rows: measured.rows(),
    figures: [
      { text: 'p50 that key, limits, rule and content rules add to the federation, one caller', value: added?.value, unit: 'µs' },
      { text: 'calls/s of the governed gateway', value: divide(1e6, cpuOf('gatehouse')), unit: 'per core' },
    ],
    values: {
      'governed cpu': cpu('gatehouse', 'pass-through'),
      'governed federation': cpu('gatehouse', 'federation'),
      'governed much': cpu('much registered', 'gatehouse'),
      'refusal 401': cpu('401', 'gatehouse'),
      'refusal 429': cpu('429', 'gatehouse'),
      'journal wait': await journalWaitUs(lab),
    },
  };

  function cpuOf(target: string): number | undefined {
    return median(measured.of(busy, target).map(({ cpuUsPerCall }) => cpuUsPerCall));
  }
}

interface Size {
  readonly tools: number;
  readonly keys: number;
  readonly toolboxes: number;
}

const few: Size = { tools: 10, keys: 10, toolboxes: 10 };
const many: Size = { tools: 1_000, keys: 10_000, toolboxes: 200 };
const namespace = 'bench';
const busy = '64 callers, modern, JSON';
const calm = '1 caller, modern, JSON';

function served(port: number, { tools, toolboxes }: Size) {
  return { namespace, upstreams: [{ name: 'echo', port, tools }], toolboxes: toolboxes - 1 };
}

/** With limits that no load reaches: what is measured is the deciding. */
async function startGoverned(lab: Lab, port: number, size: Size) {
  const place = { dataDir: lab.newData(), masterKey: newMasterKey() };
  const registrar = await openRegistrar(place);
  const budget = { amount: 1_000_000_000, window: 'day', unit: 'calls' } as const;
  await registrar.policy('global', {
    limits: [{ per: 'global', rpm: 1_000_000_000 }],
    content: [{ rules: ['secrets', 'prompt-injection'], do: 'block' }],
  });
  await registrar.policy(`namespace:${namespace}`, {
    limits: [{ per: 'capability', budget }],
    allow: ['caller.consumer == "shop" && size(args.text) < 1000'],
  });
  await registrar.consumer('shop', { limits: [{ per: 'consumer', rpm: 1_000_000_000 }] });
  const key = await registrar.key('caller', { consumer: 'shop', limits: [{ per: 'key', concurrency: 10_000 }] });
  // Refused by the first limit; the second refuses when a minute has passed.
  const once = [{ per: 'key', rpm: 1 } as const, { per: 'key', budget: { amount: 1, window: 'day', unit: 'calls' } } as const];
  const spent = await registrar.key('spent', { consumer: 'shop', limits: once });
  const gone = await registrar.key('gone', { consumer: 'shop' });
  await registrar.changeKey('gone', { state: 'revoked' });
  const { body } = registrar.registry.require('key', 'gone');
  // Other secrets of other keys, a batch at a time.
  for (let made = 3; made < size.keys; made += 500) {
    const edits = Array.from({ length: Math.min(500, size.keys - made) }, (_, index): Edit => {
      const hash = (made + index).toString(16).padStart(64, '0');
      return {
        kind: 'key',
        id: `other-${made + index}`,
        body: { ...body, state: 'active', secrets: [{ ...body.secrets[0]!, hash }] },
      };
    });
    await registrar.registry.commit(edits, { actor: 'key:admin', action: 'bench' });
  }
  await registrar.close();
  const { GATEHOUSE_DATA: data, ...environment } = placeSettings(place);
  const gateway = await lab.startGateway([served(port, size)], { data: data!, key, environment });
  return { gateway, spent, stranger: gone };
}

/** How long a call of one caller waits for its record, `os` mode. */
async function journalWaitUs(lab: Lab): Promise<number | undefined> {
  const log = pino({ level: 'silent' });
  const dir = join(lab.newData(), 'journal');
  const journal = await openJournal({ dir, sync: 'os', key: Buffer.alloc(32, 7), clock: systemClock, log });
  const waits: number[] = [];
  const facts = { principal: 'key:bench', door: 'mcp', toolbox: namespace, method: 'tools/call', decision: 'allow' } as const;
  for (let round = 0; round < 3_000; round += 1) {
    const entry = journal.describe(facts);
    const from = performance.now();
    await journal.intent(entry, true);
    if (round >= 1_000) waits.push((performance.now() - from) * 1000);
    journal.outcome(entry, { outcome: 'done', ms: 1 });
    await journal.flush();
  }
  await journal.close();
  return median(waits);
}
