import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import { cleanSchema, writeClean } from '../../src/arguments/clean-schema.ts';
import { SchemaPlans } from '../../src/arguments/schema-plans.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';
import { cpuMs } from '../support/cpu-time.ts';

const checks = new ArgumentChecks();
afterAll(() => checks.close());

function large(name: string): JsonObject {
  const field = (n: number): [string, JsonObject] => [
    `${name}${n}`,
    {
      type: 'object',
      description: 'Where it goes, in a few words.',
      properties: { street: { type: 'string', maxLength: 200 }, floor: { type: ['integer', 'null'], minimum: 0 } },
      required: ['street'],
    },
  ];
  return { type: 'object', properties: Object.fromEntries(Array.from({ length: 2_250 }, (_, n) => field(n))) };
}

test('what is made of a schema of 9,000 parts at the first call of its tool takes little longer than to copy it', async () => {
  const plans = new SchemaPlans();
  const took = (work: (schema: JsonObject) => unknown) => {
    const times = [1, 2, 3].map((n) => {
      const schema = large(`field${n}`);
      const before = cpuMs();
      work(schema);
      return cpuMs() - before;
    });
    return Math.min(...times);
  };
  took((schema) => plans.of(schema));
  // It took four times as long, and for the thread it was copied on top.
  expect(took((schema) => plans.of(schema))).toBeLessThan(Math.max(20, took(structuredClone) * 2.5));
});

describe('a number that no double holds', () => {
  const listing = (number: string): JsonObject =>
    parseExact(`{"type":"object","properties":{"x":{"enum":[${number},"a"]},"y":{"const":{"z":[${number}]}}}}`) as JsonObject;

  test.each(['1e400', '-1e400', `1${'0'.repeat(400)}`])('is not null: %s', async (number) => {
    expect(await checks.of(listing(number)).check({ x: null })).toContain('/x must be');
    expect(await checks.of(listing('null')).check({ x: null })).toBeUndefined();
    expect(await checks.of(listing(number)).check({ x: 'a' })).toBeUndefined();
    expect(await checks.of(listing(number)).check({ y: { z: [null] } })).toContain('/y');
  });

  test('comes to the threads as what it was', () => {
    const clean = cleanSchema(listing('-1e400'));
    expect(JSON.parse(writeClean(clean))).toEqual(clean.schema);
    const usual = cleanSchema(listing('7'));
    expect(JSON.parse(writeClean(usual))).toEqual(usual.schema);
  });
});
