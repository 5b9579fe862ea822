import { expect, test } from 'vitest';
import type { UpstreamConfig } from '../../src/catalog/config.ts';
import { assess } from '../../src/review/assess.ts';
import { makeNeighbourhood } from '../../src/review/look-alikes.ts';
import { type Offered, offeredInTurns } from '../../src/review/pin.ts';
import { toStoredInTurns } from '../../src/review/pins.ts';
import { takeTurns } from '../../src/turns.ts';
import { emptyOffer, type ToolDefinition } from '../../src/upstreams/upstream.ts';
import { cpuMs } from '../support/cpu-time.ts';

// An API with as many operations as Microsoft Graph has.

const operations = process.env.TEST_LONG === undefined ? 2_000 : 22_000;
const config = {
  id: 'shop/api',
  namespace: 'shop',
  name: 'api',
  kind: 'openapi',
  transport: { type: 'http', url: 'https://api.example.com', headers: {} },
  rename: {},
} as unknown as UpstreamConfig;

function toolOf(at: number): ToolDefinition {
  const properties = Object.fromEntries(
    Array.from({ length: 12 }, (_, n) => [
      `field_${n}_of_${at}`,
      {
        type: 'string',
        description: `The value number ${n} of the thing that this operation looks for, as text.`,
        maxLength: 64,
      },
    ]),
  );
  return {
    name: `get_thing_${at}`,
    description: `Looks for the thing number ${at} and answers with all that is known of it, in pages of a hundred.`,
    inputSchema: { type: 'object', properties: { ...properties, email: { type: 'string' } } },
  } as ToolDefinition;
}

test(`others have their turn while ${operations} operations are assessed`, { timeout: 600_000 }, async () => {
  const offer = { ...emptyOffer, tools: Array.from({ length: operations }, (_, at) => toolOf(at)) };
  const neighbourhood = makeNeighbourhood([]);
  // What each turn takes of the processor: a busy machine takes it away for a while as well.
  const turnsMs: number[] = [];
  let before = cpuMs();
  let isOver = false;
  const measure = () => {
    const now = cpuMs();
    turnsMs.push(now - before);
    before = now;
    if (!isOver) setImmediate(measure);
  };
  measure();
  const offered = await offeredInTurns(offer);
  const stored = await toStoredInTurns(offered, undefined);
  const subject = {
    config,
    isExternal: true,
    offered,
    instructions: undefined,
    unseenBecause: undefined,
    renamed: new Map<Offered, string>(),
  };
  const assessment = await assess(subject, neighbourhood);
  isOver = true;
  expect([stored.length, assessment.size.tools]).toEqual([operations, operations]);
  expect(assessment.sees).toContainEqual({ what: 'personal data', where: expect.arrayContaining(['get_thing_0.email']) });
  expect(assessment.findings.length).toBeLessThanOrEqual(500);
  turnsMs.sort((x, y) => x - y);
  const [p99, longest] = [turnsMs[Math.floor(turnsMs.length * 0.99)] ?? 0, turnsMs.at(-1) ?? 0];
  if (process.env.TEST_LONG !== undefined) console.log({ p99, longest, turns: turnsMs.length });
  expect(p99).toBeLessThan(50);
  expect(turnsMs.length).toBeGreaterThan(operations / 100);
});

test('a turn is over after its time, and not before', async () => {
  const turn = takeTurns(5);
  expect(turn()).toBeUndefined();
  for (const since = performance.now(); performance.now() - since < 6; );
  const due = turn();
  expect(due).toBeInstanceOf(Promise);
  await due;
  expect(turn()).toBeUndefined();
});
