import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objection } from '../../../src/models/cache/guard.ts';
import {
  attackingApart,
  heldOutApart,
  heldOutParaphrases,
  secondHeldOutApart,
  thirdHeldOutApart,
} from '../../fixtures/semantic/held-out.ts';
import { oneWordApart, paraphrases } from '../../fixtures/semantic/pairs.ts';

describe('the guard of the semantic cache', () => {
  it.each([...oneWordApart, ...heldOutApart, ...secondHeldOutApart, ...attackingApart, ...thirdHeldOutApart])(
    'tells apart: %s | %s',
    (first, second) => {
      expect(objection(first, second)).toBeDefined();
      expect(objection(second, first)).toBeDefined();
    },
  );

  it('lets most paraphrases through: the rest costs a call, and no wrong answer', () => {
    const passes = (pairs: readonly (readonly [string, string])[]) =>
      pairs.filter(([first, second]) => objection(first, second) === undefined).length;
    expect(paraphrases.length).toBeGreaterThanOrEqual(60);
    expect(oneWordApart.length).toBeGreaterThanOrEqual(60);
    expect(passes(paraphrases)).toBeGreaterThanOrEqual(41);
    expect(passes(heldOutParaphrases)).toBeGreaterThanOrEqual(13);
  });

  it.each([
    ['quotes that never end', '«'.repeat(2_000)],
    ['brackets in front of a letter', `what is ${')'.repeat(1_980)}x`],
    ['words of one letter', `what is ${'a to '.repeat(390)}`],
    ['names', `What is ${'Ab Bc '.repeat(330)}`],
    ['letters that stand for sentences', `what is ${'\ufdfa'.repeat(1_980)}`],
  ])('is through with the longest question at once, be it made of %s', (_what, question) => {
    const took = Array.from({ length: 5 }, () => {
      const before = process.threadCpuUsage();
      objection(question, `${question} b`);
      return process.threadCpuUsage(before).user / 1_000;
    });
    expect(Math.min(...took)).toBeLessThan(15);
  });

  it('objects in both directions or in none', () => {
    for (const [first, second] of [...paraphrases, ...heldOutParaphrases])
      expect([first, objection(first, second) === undefined]).toEqual([first, objection(second, first) === undefined]);
  });

  it.each([
    ['numbers', 'Convert 1,000 meters to feet.', 'Please convert 1000 meters to feet.'],
    ['number words', 'Give me three ideas for a party.', 'I need 3 ideas for a party.'],
    ['quotes of any kind', 'What does "foo" mean?', 'What is the meaning of “foo”?'],
    ['units by any name', 'How much is 5 kg in pounds?', 'How much is 5kg in lbs?'],
    ['names in any case', 'What is the capital of france?', "What's the capital city of France?"],
    ['possessives', "What is Anna's address?", 'Tell me what the address of Anna is.'],
    ['negations in any form', "Which users can't log in?", 'Which users cannot log in?'],
    ['ways to begin', 'Give me three ideas for a party.', 'I need three ideas for a party.'],
    ['code as it is written', 'What does tar -C do?', 'Tell me what tar -C does.'],
    ['the best way', 'How do I center a div?', 'What is the best way to center a div?'],
  ])('takes %s for the same', (_, first, second) => {
    expect(['order', undefined]).toContain(objection(first, second));
  });

  it.each([
    ['numbers', 'What is 2.50 plus 1?', 'What is 2.05 plus 1?'],
    ['numbers', 'What is the result of 3 - 5?', 'What is the result of 5 - 3?'],
    ['quotes', "What does 'foo' mean?", "What does 'Foo' mean?"],
    ['codes', 'What is in src/a.ts?', 'What is in src/b.ts?'],
    ['codes', 'Who is a@example.com?', 'Who is b@example.com?'],
    ['units', 'How much is 5 kg in pounds?', 'How much is 5 lb in pounds?'],
    ['dates', 'What happens on Tuesday?', 'What will happen on Thursday?'],
    ['names', 'Who is Ada Lovelace?', 'Can you tell me who Grace Hopper is?'],
    ['negation', 'Is it true that cats purr?', 'Is it not true that cats purr?'],
    ['asked for', 'When did the Beatles split?', 'Why did the Beatles split up?'],
    ['opposites', 'How do I enable the alarm at home?', 'What is the way to disable the alarm?'],
    ['codes', 'What does tar -C do?', 'What does tar -c do?'],
    ['numbers', 'What is new in Python 3.10?', 'What is new in Python 3.1?'],
    ['numbers', 'What is 10² plus 1?', 'What is 102 plus 1?'],
    ['negation', 'Why is the red pill not safe but the blue pill is?', 'Why is the red pill safe but the blue pill is not?'],
    ['asked for', 'Where can I park in Rome?', 'Can I park in Rome?'],
    ['tense', "What's the population of Rome?", 'What was the population of Rome?'],
    ['names', 'What taxes apply to us?', 'What taxes apply to US?'],
    ['order', 'Replace foo with "bar" in the text.', 'Replace "bar" with foo in the text.'],
    ['words', 'How much does a car cost in Germany?', 'How much does care cost in Germany?'],
    ['language', 'Was kostet ein Kilo Mehl in Wien?', 'Was kostet ein Liter Milch in Wien?'],
    ['language', 'Wie schalte ich das Licht ein?', 'Wie schalte ich das Licht aus?'],
    ['language', '如何打开灯？', '如何关闭灯？'],
  ])('objects to other %s: %s | %s', (why, first, second) => {
    expect(objection(first, second)).toBe(why);
  });

  it('has nothing against a question and itself', () => {
    for (const [first, second] of [...paraphrases, ...oneWordApart])
      for (const text of [first, second]) if (objection(text, text) !== 'language') expect(objection(text, text)).toBeUndefined();
  });

  it('notices any change of a number, whatever stands around it', () => {
    const words = fc.array(fc.constantFrom('how', 'do', 'i', 'ship', 'boxes', 'to', 'the', 'harbour', 'with', 'care'), {
      minLength: 3,
    });
    const number = fc.integer({ min: 0, max: 1_000_000 });
    fc.assert(
      fc.property(words, fc.nat(), number, number, (said, place, one, other) => {
        fc.pre(one !== other);
        const at = place % said.length;
        const ask = (n: number) => ['is', ...said.slice(0, at), String(n), ...said.slice(at)].join(' ');
        expect(objection(ask(one), ask(other))).toBe('numbers');
      }),
    );
  });

  it('never throws, and is quick, whatever it gets', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.string({ unit: 'binary', maxLength: 300 }),
        (first, second) => {
          objection(first, second);
        },
      ),
    );
    for (const unit of ['"', "'", 'a ', 'to a ', '1,', '((', "n't ", '\u0301', 'Aa ', '-', '`']) {
      const before = process.threadCpuUsage();
      objection(unit.repeat(2_000 / unit.length), `the ${unit.repeat(1_996 / unit.length)}`);
      const { user, system } = process.threadCpuUsage(before);
      expect([unit, (user + system) / 1_000 < 100]).toEqual([unit, true]);
    }
  });
});
