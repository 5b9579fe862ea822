import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { isObject, type Json } from '../../../src/wire/json.ts';
import { convert, exampleBytes, invalidSchemas } from '../../support/openapi.ts';

const rounds = process.env.TEST_LONG === undefined ? 150 : 5_000;

const names = [
  '2.0/json/petstore.json',
  '3.0/json/circular.json',
  '3.0/json/circular-paths.json',
  '3.0/json/discriminators.json',
  '3.0/json/file-uploads.json',
  '3.0/json/parameters-style.json',
  '3.0/json/polymorphism.json',
  '3.0/json/schema-circular.json',
  '3.0/json/security.json',
  '3.1/json/schema-validation-local.json',
  '3.1/json/train-travel.json',
];
const documents = names.map((name) => exampleBytes(name).toString());

type Change = {
  readonly kind: 'remove' | 'replace' | 'move' | 'rename';
  readonly at: number;
  readonly value: Json;
  readonly other: number;
};

const oddValues: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1e300,
  '',
  '#',
  '#/paths',
  '#/components/schemas/Pet',
  'constructor',
  '\u202e',
  'x'.repeat(3_000),
  [],
  {},
  [{}],
  { $ref: '#/definitions/Pet' },
  { $ref: '#/components/schemas/Cat' },
  { type: 'file' },
  { not: {} },
];

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('remove', 'replace', 'move', 'rename'),
  at: fc.nat(),
  other: fc.nat(),
  value: fc.oneof(fc.constantFrom(...oddValues), fc.jsonValue() as fc.Arbitrary<Json>),
});

type Spot = { readonly holder: { [key: string]: Json } | Json[]; readonly key: string };

function spotsIn(value: Json, spots: Spot[] = []): Spot[] {
  if (typeof value !== 'object' || value === null) return spots;
  for (const [key, member] of Object.entries(value)) {
    spots.push({ holder: value, key });
    spotsIn(member, spots);
  }
  return spots;
}

function apply(document: Json, { kind, at, other, value }: Change): void {
  const spots = spotsIn(document);
  const spot = spots[at % Math.max(spots.length, 1)];
  const source = spots[other % Math.max(spots.length, 1)];
  if (spot === undefined || source === undefined) return;
  const holder = spot.holder as { [key: string]: Json };
  if (kind === 'remove') delete holder[spot.key];
  else if (kind === 'replace') holder[spot.key] = value;
  else if (kind === 'move') holder[spot.key] = structuredClone((source.holder as { [key: string]: Json })[source.key] ?? null);
  else if (isObject(spot.holder)) {
    holder[source.key] = holder[spot.key] ?? null;
    delete holder[spot.key];
  }
}

/** Either all of it, with what was lost, or a named refusal. */
function check(bytes: Uint8Array): void {
  const startedMs = performance.now();
  try {
    const conversion = convert(bytes);
    expect(conversion.problems.filter(({ message }) => message.includes('could not be converted'))).toEqual([]);
    expect(invalidSchemas({ ...conversion, operations: conversion.operations.slice(0, 10) })).toEqual([]);
    const tools = conversion.operations.map(({ tool }) => tool.name);
    expect(tools.every((name) => /^[a-zA-Z0-9_-]{1,64}$/.test(name))).toBe(true);
    expect(new Set(tools).size).toBe(tools.length);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== 'bad_description') throw error;
  }
  expect(performance.now() - startedMs).toBeLessThan(20_000);
}

test('OP-07: real descriptions with members removed, replaced, moved and renamed are converted or refused by name', () => {
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.array(change, { minLength: 1, maxLength: 12 }), (text, changes) => {
      const document: Json = JSON.parse(text);
      for (const one of changes) apply(document, one);
      check(new TextEncoder().encode(JSON.stringify(document)));
    }),
    { numRuns: rounds },
  );
}, 300_000);

test('OP-07: and with bytes flipped, cut and put in', () => {
  const flip = fc.record({ at: fc.nat(), byte: fc.nat(255), kind: fc.constantFrom('flip', 'cut', 'insert') });
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.array(flip, { minLength: 1, maxLength: 5 }), (text, flips) => {
      let bytes: number[] = [...Buffer.from(text)];
      for (const { at, byte, kind } of flips) {
        const index = at % Math.max(bytes.length, 1);
        if (kind === 'flip') bytes[index] = byte;
        else if (kind === 'insert') bytes.splice(index, 0, byte);
        else if (byte < 8) bytes = bytes.slice(0, index);
        else bytes.splice(index, byte);
      }
      check(Uint8Array.from(bytes));
    }),
    { numRuns: rounds },
  );
}, 300_000);
