import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compileRule, decide, mayAllow } from '../../src/policy/rule.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { facts, ruleOf, rulesOf, withCaller } from './facts.ts';

async function isAllowed(source: string, args: JsonObject = {}, who = facts): Promise<boolean> {
  return decide(await rulesOf(source), who, args).isAllowed;
}

describe('rules allow', () => {
  test.each<[string, JsonObject, JsonObject]>([
    ['args.limit <= 100', { limit: 100 }, { limit: 100.5 }],
    ['args.limit == 100', { limit: 100 }, { limit: '100' }],
    ['args.dryRun == true', { dryRun: true }, { dryRun: 'true' }],
    ['has(args.dryRun) && args.dryRun == true', { dryRun: true }, {}],
    ['!has(args.force) || args.force == false', {}, { force: true }],
    ['args.owner == caller.consumer', { owner: 'shop' }, { owner: 'other' }],
    ['args["a-b"].c[1] == null', { 'a-b': { c: [1, null] } }, { 'a-b': { c: [1] } }],
    ['args.region in ["eu", "us"]', { region: 'eu' }, { region: 'cn' }],
    ['!("force" in args)', {}, { force: null }],
    ['args.path.startsWith("/srv/") && !args.path.contains("..")', { path: '/srv/a' }, { path: '/srv/../etc' }],
    ['args.id.matches("^T-[0-9]+$")', { id: 'T-12' }, { id: 'T-12x' }],
    ['args.items.all(i, i.amount < 10.5 * 2.0)', { items: [{ amount: 3 }, { amount: 20 }] }, { items: [{ amount: 22 }] }],
    ['args.items.exists(i, i == "a")', { items: ['b', 'a'] }, { items: ['b'] }],
    ['args.items.exists_one(i, i > 1)', { items: [1, 2] }, { items: [2, 3] }],
    ['args.items.filter(i, i > 1).map(i, i * 2.0) == [4.0, 6.0]', { items: [1, 2, 3] }, { items: [1, 2] }],
    ['size(args.items) + 1 <= 3', { items: [1, 2] }, { items: [1, 2, 3] }],
    ['int(args.count) % 2 == 0', { count: 4 }, { count: 5 }],
    ['args.name.trim().lowerAscii() == "bob"', { name: ' BOB ' }, { name: 'Bobby' }],
    ['args.kind == "safe" ? true : "admin" in caller.roles', { kind: 'safe' }, { kind: 'risky' }],
    ['timestamp(args.until) > time.now', { until: '2026-12-01T00:00:00Z' }, { until: '2026-01-01T00:00:00Z' }],
  ])('%s: %j and not %j', async (source, right, wrong) => {
    expect([await isAllowed(source, right), await isAllowed(source, wrong)]).toEqual([true, false]);
  });

  test.each([
    ['caller.role == "developer"', 'caller.role == "admin"'],
    ['caller.kind == "key" && caller.key == "k1" && caller.id == "key:k1"', 'caller.member == "ann"'],
    ['"auditor" in caller.roles', '"approver" in caller.roles'],
    ['caller.claims.department == "hr" && caller.claims.level >= 3', 'caller.claims.department == "it"'],
    ['has(caller.claims.department)', 'has(caller.claims.team)'],
    ['capability.name.startsWith("hr/get_") && capability.kind == "tool"', 'capability.upstream == "crm"'],
    ['network.isPrivate && network.ip == "10.1.2.3"', '!network.isPrivate'],
    ['time.hour == 18 && time.weekday == "wed"', 'time.weekday in ["sat", "sun"]'],
    ['time.utc >= "08:00" && time.utc < "18:31"', 'time.utc < "18:30"'],
    ['time.now.getHours("Europe/Berlin") == 19', 'time.now.getHours("Asia/Tokyo") == 19'],
    ['time.now.getDayOfWeek() == 3 && time.now.getDate() == 25 && time.now.getMonth() == 10', 'time.now.getFullYear() < 2026'],
  ])('%s, and not %s', async (right, wrong) => {
    expect([await isAllowed(right), await isAllowed(wrong)]).toEqual([true, false]);
  });

  test('when one of several does; no rule allows everything and an empty list nothing', async () => {
    const [yes, no] = await rulesOf('caller.role == "developer"', 'caller.role == "admin"');
    expect(decide([no!, yes!], facts, {}).isAllowed).toBe(true);
    expect(decide([no!], facts, {}).isAllowed).toBe(false);
    expect(decide([], facts, {}).isAllowed).toBe(false);
    expect(decide(undefined, facts, {}).isAllowed).toBe(true);
  });

  test('numbers of many digits exactly, or not at all', async () => {
    const read = (text: string) => parseExact(text) as JsonObject;
    const source = 'args.id == 9007199254740993';
    expect(await isAllowed(source, read('{"id": 9007199254740993}'))).toBe(true);
    expect(await isAllowed(source, read('{"id": 9007199254740992}'))).toBe(false);
    for (const digits of ['100.00000000000000001', '123456789012345678901234567890', '1.0000000000000000001e400'])
      expect(
        decide(await rulesOf('args.amount <= 100 || args.amount > 100'), facts, read(`{"amount": ${digits}}`)).isAllowed,
      ).toBe(false);
    expect(await isAllowed('args.amount.rawJSON == "5"', { amount: { rawJSON: '5' } })).toBe(true);
  });
});

describe('a rule that cannot be evaluated allows nothing and says why', () => {
  test.each<[string, JsonObject, string]>([
    ['args.dryRun == true', {}, 'There is no "dryRun" (rule line 1, column 6).'],
    ['args.a.b == 1', { a: 'secret' }, 'There is no "b"'],
    ['args.a > 1', { a: 'secret' }, '">" compares'],
    ['args.a + 1 > 1', { a: 1 }, 'write 1.0 instead of 1'],
    ['args.a && true', { a: 'secret' }, 'neither true nor false'],
    ['args.list[3] == 1', { list: [1] }, 'no such place'],
    ['1 / int(args.n) > 0', { n: 0 }, 'Division by zero'],
    ['int(args.n) + 9223372036854775807 > 0', { n: 1 }, 'too large'],
    ['int(args.n) > 0', { n: 'secret' }, 'no whole number'],
    ['args.n.matches("a")', { n: 5 }, 'for texts'],
    ['caller.claims.team == "a"', {}, 'There is no "team"'],
  ])('%s for %j', async (source, args, words) => {
    const { isAllowed, faults } = decide(await rulesOf(source), facts, args);
    expect(isAllowed).toBe(false);
    expect(faults.join()).toContain(words);
    expect(faults.join()).not.toContain('secret');
  });

  test('and does not keep another rule from allowing', async () => {
    expect(decide(await rulesOf('args.x == 1', 'true'), facts, {})).toEqual({ isAllowed: true, faults: [] });
  });

  test('prototypes are nothing that was sent', async () => {
    for (const key of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
      const args = JSON.parse('{"text": "a", "list": [1], "map": {}}') as JsonObject;
      for (const base of ['args', 'args.text', 'args.list', 'args.map', 'caller.claims']) {
        expect(await isAllowed(`has(${base}.${key}) || "${key}" in ${base} || ${base}["${key}"] != 1`, args)).toBe(false);
      }
    }
    const own = JSON.parse('{"__proto__": {"isAdmin": true}}') as JsonObject;
    expect(await isAllowed('args["__proto__"].isAdmin == true', own)).toBe(true);
    expect(await isAllowed('args.isAdmin == true', own)).toBe(false);
    const pair = JSON.parse('{"a": {"__proto__": {}}, "b": {"x": 1}, "c": {"__proto__": {}}}') as JsonObject;
    expect([await isAllowed('args.a == args.b', pair), await isAllowed('args.a == args.c', pair)]).toEqual([false, true]);
  });
});

describe('what is no rule is refused when it is written', () => {
  test.each([
    ['caller.rol == "x"', 'No such key: rol (rule line 1, column 8). Did you mean "role"?'],
    [
      'caller.consumer == "x" && newtork.isPrivate',
      'Unknown variable: newtork (rule line 1, column 27). Did you mean "network"?',
    ],
    ['foo == 1', 'Unknown variable: foo'],
    ['caller.role ==\n  ', 'Unexpected token: EOF (rule line 2, column 3).'],
    ['(true', 'Expected RPAREN'],
    ['caller.role', 'of type string'],
    ['args.dryRun', 'compare it, such as args.dryRun == true'],
    ['1 == "a"', 'no such overload'],
    ['caller == caller', 'no such overload'],
    ['has(args)', 'invalid argument'],
    ['args.a.matches(args.b)', 'must be written out'],
    ['args.a.matches("(?=a)")', 'Look-around'],
    ['args.a.matches("(a)\\\\1")', 'back-references'],
    ['args.a.matches("[a-z]{1,999}")', 'repeats too much'],
    ['time.now.getHours("Mars/Base") == 1', 'time zone is not known'],
    ['time.now.getHours(args.zone) == 1', 'must be written out'],
    ['cel.bind(x, 1, x == 1)', 'Rules have no .bind()'],
    ['args.a.split(",") == ["a"]', 'Rules have no .split()'],
    ['args.a.join() == "a"', 'Rules have no .join()'],
    ['b"a" == b"a"', 'no bytes'],
    ['1u == 1u', 'no unsigned'],
    ['type(args.a) == int', 'Rules have no type()'],
    ['duration("1s") == duration("1s")', 'Rules have no duration()'],
    ['args.a.exists(args, args == 1)', 'take another name'],
    ['args.a.exists(caller, caller == 1)', 'take another name'],
    ['{1: 2}[1] == 2 && google == google', '"google" is no value'],
    [`${'('.repeat(40)}true${')'.repeat(40)}`, 'Exceeded maxDepth'],
    [`${'!'.repeat(3000)}true`, 'Exceeded maxAstNodes'],
    [`args.a in [${Array(300).fill('1').join()}]`, 'Exceeded maxListElements'],
    [`args.a == "${'x'.repeat(5000)}"`, 'at most 4096 characters'],
    ['', 'Unexpected token: EOF'],
  ])('%.60s', async (source, words) => {
    const compiled = await compileRule(source);
    expect('problems' in compiled && compiled.problems.map(({ message }) => message).join()).toContain(words);
  });

  test('several problems are told at once, each with its place', async () => {
    const compiled = await compileRule('args.a.split(",") == [] ||\n  args.b.join() == "x"');
    expect('problems' in compiled && compiled.problems.map(({ line }) => line)).toEqual([1, 2]);
  });
});

describe('time is bounded', () => {
  const items = Array.from({ length: 10_000 }, (_, index) => index);
  const long = 'a'.repeat(1_000_000);

  test('ten thousand items are gone through once, and not ten thousand times each', async () => {
    expect(await isAllowed('args.items.all(i, i >= 0)', { items })).toBe(true);
    const { isAllowed: isOk, faults } = decide(await rulesOf('args.items.all(i, args.items.exists(j, i == j))'), facts, {
      items,
    });
    expect([isOk, faults.join()]).toEqual([false, 'The rule needs too many steps for these arguments (rule line 1, column 1).']);
  });

  test.each<[string, JsonObject]>([
    ['args.items.all(a, args.items.all(b, args.items.all(c, a + b + c >= 0.0)))', { items }],
    ['args.items.exists(a, args.items.exists(b, false))', { items }],
    ['args.items.map(a, args.items.map(b, a)).size() > 0', { items }],
    ['args.items.filter(a, a in args.items) == args.items', { items }],
    ['args.items.all(a, args.items == args.other)', { items, other: items.slice() }],
    ['args.items.all(a, args.text.contains("b"))', { items, text: long }],
    ['args.items.all(a, (args.text + args.text).endsWith("a"))', { items, text: long }],
    ['args.items.all(a, args.text.lowerAscii() == "")', { items, text: long.toUpperCase() }],
    ['args.items.all(a, args.items + args.items != [])', { items }],
    ['args.items.all(a, size(args.text) > 0)', { items, text: long }],
    ['args.items.all(a, time.now.getHours("Europe/Berlin") > 0)', { items }],
    ['args.text.matches("^(a+)+$")', { text: `${long}!` }],
    ['args.text.matches("(x+x+)+y")', { text: 'x'.repeat(1_000_000) }],
    ['args.items.exists(a, args.text.matches("(a|a)*b"))', { items, text: 'a'.repeat(2_000) }],
    ['args.text.matches("a.{90}b")', { text: Array.from({ length: 50_000 }, (_, n) => 'ab'[(n * n) % 3 ? 0 : 1]).join('') }],
  ])('%s takes less than a blink', async (source, args) => {
    const rules = await rulesOf(source);
    const startedMs = cpuMs();
    decide(rules, facts, args);
    mayAllow(rules, facts);
    // Far above what it takes: the machine that runs this may be busy.
    expect(cpuMs() - startedMs).toBeLessThan(250);
  });
});

describe('a list shows', () => {
  test.each([
    // Nothing to do with arguments.
    ['caller.role == "developer"', true],
    ['caller.role == "admin"', false],
    ['caller.claims.team == "a"', false],
    // Arguments decide.
    ['args.dryRun == true', true],
    ['caller.role == "admin" || args.dryRun == true', true],
    ['caller.role == "developer" && args.limit < 10', true],
    ['args.limit < 10 ? caller.role == "developer" : false', true],
    ['!(args.limit < 10)', true],
    ['args.items.all(i, i.owner == caller.consumer)', true],
    ['caller.roles.exists(r, r == args.role)', true],
    ['args.items.exists(i, caller.role == "developer")', true],
    ['args[caller.consumer] == 1', true],
    ['has(args.x)', true],
    // Arguments cannot change it.
    ['caller.role == "admin" && args.dryRun == true', false],
    ['args.dryRun == true && caller.role == "admin"', false],
    ['args.dryRun == true && caller.claims.team == "a"', false],
    ['caller.claims.team == "a" && args.dryRun == true', false],
    ['caller.claims.team == args.team', false],
    ['args.limit < 10 ? caller.role == "admin" : false', false],
    ['args.items.exists(i, i.x == 1 && caller.role == "admin")', false],
    ['!(args.x == 1 || caller.role == "developer")', false],
    ['[].exists(r, r == args.role)', false],
    ['caller.role == "admin" ? args.a == 1 : caller.claims.team == "a"', false],
    // A failure beside an open question: the arguments may still decide.
    ['caller.claims.team == "a" || args.dryRun == true', true],
    ['args.dryRun == true || caller.claims.team == "a"', true],
  ])('what %s may allow: %s', async (source, isVisible) => {
    expect(mayAllow(await rulesOf(source), facts)).toBe(isVisible);
  });

  test('what any of the rules may allow', async () => {
    expect(mayAllow(await rulesOf('caller.role == "admin"', 'args.dryRun == true'), facts)).toBe(true);
    expect(mayAllow(await rulesOf('caller.role == "admin"', 'false'), facts)).toBe(false);
    expect([mayAllow([], facts), mayAllow(undefined, facts)]).toEqual([false, true]);
  });

  test('an admin what others do not see', async () => {
    const rules = await rulesOf('caller.role == "admin" && args.force == true');
    expect(mayAllow(rules, facts)).toBe(false);
    expect(mayAllow(rules, withCaller({ role: 'admin' }))).toBe(true);
  });

  test.each([
    ['args.a == 1', true],
    ['caller.role == "x" || has(args.b)', true],
    ['caller.roles.all(r, r in args)', true],
    ['caller.role == "args"', false],
    ['caller.claims.args == 1', false],
  ])('%s uses arguments: %s', async (source, uses) => {
    expect((await ruleOf(source)).usesArguments).toBe(uses);
  });
});

test('every rule in the docs is one', async () => {
  const page = readFileSync(new URL('../../docs/rules.md', import.meta.url), 'utf8');
  const block = /```\n([\s\S]*?)```/.exec(page)?.[1]?.trim().split('\n') ?? [];
  const rows = Array.from(page.matchAll(/^\| `((?:args|caller)\.\S+ [^`]+)` \|/gm), ([, rule = '']) =>
    rule.replaceAll('\\|', '|'),
  );
  expect(block.length).toBeGreaterThan(3);
  expect(rows.length).toBeGreaterThan(3);
  for (const rule of [...block, ...rows]) await ruleOf(rule);
});
