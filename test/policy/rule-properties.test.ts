import { Environment } from '@marcbachmann/cel-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileRule, decide, mayAllow } from '../../src/policy/rule.ts';
import { type Facts, factTable } from '../../src/policy/rule-facts.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { facts } from './facts.ts';

const rounds = process.env.TEST_LONG ? 20_000 : 2_000;

// Small sets of names and values, so that what is compared is often equal and what is looked up often there.
const scalars = fc.constantFrom<unknown>(0, 1, 2, 1.5, 'a', 'b', 'shop', true, false, null);
const values = fc.oneof(
  { weight: 3, arbitrary: scalars },
  { weight: 1, arbitrary: fc.array(scalars, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom('x', 'y', 'z'), scalars, { maxKeys: 2 }) },
);
const argSets = fc.dictionary(fc.constantFrom('x', 'y', 'list', 'deep'), values, { maxKeys: 4 }) as fc.Arbitrary<JsonObject>;
const callers: fc.Arbitrary<Facts> = fc
  .record({
    role: fc.constantFrom('a', 'b', 'admin'),
    roles: fc.subarray(['a', 'b', 'admin']),
    consumer: fc.constantFrom('club', 'shop'),
    claims: fc.dictionary(fc.constantFrom('x', 'y'), scalars, { maxKeys: 2 }) as fc.Arbitrary<JsonObject>,
  })
  .map((caller) => ({ ...facts, caller: { ...facts.caller, ...caller } }));

const { condition } = fc.letrec<{ term: string; condition: string }>((tie) => ({
  term: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      'args.x',
      'args.y',
      'args.list',
      'args.deep.x',
      'args["x"]',
      'caller.claims.x',
      'caller.role',
      'caller.consumer',
      'v',
    ),
    fc.constantFrom('0', '1', '2', '1.5', '"a"', '"b"', 'true', 'false', 'null', 'time.hour', '[]', '[1, 2]', '["a", "b"]'),
    fc
      .tuple(tie('term'), fc.constantFrom('+', '-', '*', '/', '%'), tie('term'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('term').map((a) => `size(${a})`),
    tie('term').map((a) => `dyn(${a})`),
    tie('term').map((a) => `int(${a})`),
    tie('term').map((a) => `double(${a})`),
    tie('term').map((a) => `string(${a})`),
    fc.tuple(tie('term'), tie('condition')).map(([a, b]) => `${a}.filter(v, ${b})`),
    fc.tuple(tie('term'), tie('term')).map(([a, b]) => `${a}.map(v, ${b})`),
    fc.tuple(tie('term'), tie('term')).map(([a, b]) => `${a}[${b}]`),
    fc.tuple(tie('condition'), tie('term'), tie('term')).map((parts) => `(${parts[0]} ? ${parts[1]} : ${parts[2]})`),
    tie('condition'),
  ),
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      'true',
      'false',
      'args.x == 1',
      'args.y == "a"',
      'caller.role == "a"',
      '"a" in caller.roles',
      'caller.claims.x == 1',
    ),
    fc.constantFrom('has(args.x)', 'has(args.deep)', 'has(caller.claims.x)', '"x" in args', 'network.isPrivate'),
    fc
      .tuple(tie('term'), fc.constantFrom('==', '!=', '<', '<=', '>', '>=', 'in'), tie('term'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    fc
      .tuple(tie('condition'), fc.constantFrom('&&', '||'), tie('condition'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('condition').map((a) => `!${a}`),
    fc.tuple(tie('condition'), tie('condition'), tie('condition')).map((parts) => `(${parts[0]} ? ${parts[1]} : ${parts[2]})`),
    fc
      .tuple(fc.oneof(tie('term'), fc.constant('caller.roles')), fc.constantFrom('all', 'exists', 'exists_one'), tie('condition'))
      .map(([a, name, b]) => `${a}.${name}(v, ${b})`),
    fc
      .tuple(tie('term'), fc.constantFrom('startsWith', 'endsWith', 'contains'), tie('term'))
      .map(([a, name, b]) => `${a}.${name}(${b})`),
  ),
}));

/** The library's own evaluation of the same rule. */
function peer(): Environment {
  const environment = new Environment().registerVariable('args', 'map<string, dyn>');
  for (const [name, members] of Object.entries(factTable))
    environment.registerVariable({
      name,
      schema: Object.fromEntries(Object.entries(members).map(([key, { type }]) => [key, type])),
    });
  return environment;
}

function contextOf(who: Facts, args: JsonObject): Record<string, unknown> {
  const read = Object.entries(factTable).map(([name, members]) => [
    name,
    Object.fromEntries(Object.entries(members).map(([key, { read }]) => [key, read(who)])),
  ]);
  return { ...Object.fromEntries(read), args };
}

describe('for any rule', () => {
  test('what a call may do is visible in a list', async () => {
    let allowed = 0;
    let hidden = 0;
    await fc.assert(
      fc.asyncProperty(condition, callers, fc.array(argSets, { minLength: 1, maxLength: 4 }), async (source, who, attempts) => {
        const compiled = await compileRule(source);
        fc.pre('rule' in compiled);
        const rules = [compiled.rule];
        const isVisible = mayAllow(rules, who);
        const results = attempts.map((args) => decide(rules, who, args).isAllowed);
        if (results.includes(true)) {
          allowed++;
          expect(isVisible).toBe(true);
        }
        if (!isVisible) hidden++;
        if (!compiled.rule.usesArguments) expect(results.every((result) => result === isVisible)).toBe(true);
      }),
      { numRuns: rounds },
    );
    // Both happen often, or nothing was tested.
    expect(allowed).toBeGreaterThan(rounds / 20);
    expect(hidden).toBeGreaterThan(rounds / 20);
  }, 300_000);

  test('the answer is the one that the CEL library gives', async () => {
    const environment = peer();
    const seen = { true: 0, false: 0, failed: 0 };
    await fc.assert(
      fc.asyncProperty(condition, callers, argSets, async (source, who, args) => {
        const compiled = await compileRule(source);
        fc.pre('rule' in compiled);
        const theirs = evaluatePeer(environment, source, contextOf(who, args));
        const { isAllowed, faults } = decide([compiled.rule], who, args);
        const ours = isAllowed ? 'true' : faults.length > 0 ? 'failed' : 'false';
        seen[ours]++;
        expect(`${ours}`).toBe(theirs);
      }),
      { numRuns: rounds },
    );
    expect(Math.min(seen.true, seen.false, seen.failed)).toBeGreaterThan(rounds / 50);
  }, 300_000);
});

function evaluatePeer(environment: Environment, source: string, context: Record<string, unknown>): string {
  try {
    const value: unknown = environment.evaluate(source, context);
    return typeof value === 'boolean' ? String(value) : 'failed';
  } catch {
    return 'failed';
  }
}
