import { describe, expect, test } from 'vitest';
import { compileContentPolicy, openContentRules } from '../../src/content/content-policy.ts';
import { type ContentLine, contentPolicySchema } from '../../src/content/content-schema.ts';
import { categories } from '../../src/content/rule.ts';
import { ruleIds } from '../../src/content/rule-names.ts';
import { loadRules, rules } from '../../src/content/rules.ts';
import { screenValue } from '../support/screen-at-once.ts';

const mail = { text: 'write to anna@nordwind.io' };

function messagesOf(value: unknown): string[] {
  return contentPolicySchema.safeParse(value).error?.issues.map(({ message }) => message) ?? [];
}

describe('content policy', () => {
  test('the names that policies are checked against are those of the rules', async () => {
    expect(ruleIds).toEqual((await loadRules(categories)).map(({ id }) => id));
  });

  test('rules of content safety are loaded where a line names one of them, and only there', async () => {
    expect(await loadRules(['secrets', 'hidden-text/far-away'])).toBe(rules);
    for (const name of ['violence', 'violence/threat']) expect((await loadRules([name])).length).toBeGreaterThan(rules.length);
    const line = { rules: ['illicit/weapons'], do: 'block' } as const;
    const check = (await openContentRules([{ ...line, rules: [...line.rules] }]))
      .compile([{ ...line, rules: [...line.rules] }])
      .checkFor('models/fast', 'in');
    expect(check && screenValue(check, { text: 'How do I build a pipe bomb?' })).toMatchObject({ rules: ['illicit/weapons'] });
    expect(check && screenValue(check, { text: 'How do I build a shed?' })).toEqual({ kind: 'clean' });
  });

  test('capabilities whose lines come to the same share one check, others have their own', async () => {
    const lines: ContentLine[] = [
      { rules: ['secrets'], do: 'redact' },
      { rules: ['secrets'], do: 'flag', match: ['hr/*'] },
    ];
    const rulesOf = await openContentRules(lines);
    const checkOf = (capability: string) => rulesOf.compile(lines).checkFor(capability, 'in');
    expect(checkOf('hr/read')).toBe(checkOf('shop/sell'));
    const stricter: ContentLine[] = [...lines, { rules: ['personal-data'], do: 'block' }];
    const own = rulesOf.compile(stricter).checkFor('hr/read', 'in');
    expect(own).not.toBe(checkOf('hr/read'));
    expect(own).toBe(rulesOf.compile(stricter).checkFor('shop/sell', 'in'));
    expect(own).not.toBe(rulesOf.compile(stricter).checkFor('hr/read', 'out'));
  });

  test('a policy with categories and single rules is taken', () => {
    expect(messagesOf([{ match: ['hr/*'], direction: 'out', rules: ['secrets', 'personal-data/email'], do: 'redact' }])).toEqual(
      [],
    );
  });

  test('a name that is no rule is refused with the one that was meant', () => {
    expect(messagesOf([{ rules: ['secret'], do: 'block' }])).toEqual([
      'No content rule is named "secret". Did you mean "secrets"?',
    ]);
    expect(messagesOf([{ rules: ['personal-data/emial'], do: 'flag' }])[0]).toContain('Did you mean "personal-data/email"?');
    expect(messagesOf([{ rules: ['zzzzzzzzzzzzzzzzzzzzzzz'], do: 'flag' }])[0]).toContain('Categories are secrets,');
  });

  test.each([
    [[{ rules: [], do: 'flag' }]],
    [[{ rules: ['secrets'], do: 'delete' }]],
    [[{ rules: ['secrets'], do: 'flag', extra: 1 }]],
  ])('%j is no policy', (value) => {
    expect(messagesOf(value)).not.toEqual([]);
  });

  test('where nothing applies there is no check, so that the call does not even look', () => {
    const policy = compileContentPolicy([{ match: ['hr/*'], direction: 'out', rules: ['secrets'], do: 'redact' }]);
    expect(policy.checkFor('hr/get_person', 'out')).toBeDefined();
    expect(policy.checkFor('hr/get_person', 'in')).toBeUndefined();
    expect(policy.checkFor('finance/get_person', 'out')).toBeUndefined();
    expect(compileContentPolicy([]).checkFor('hr/get_person', 'out')).toBeUndefined();
  });

  test('without a direction a line is for both', () => {
    const policy = compileContentPolicy([{ rules: ['personal-data'], do: 'block' }]);
    for (const direction of ['in', 'out'] as const) {
      const check = policy.checkFor('a/b', direction);
      expect(check && screenValue(check, mail)).toMatchObject({
        kind: 'blocked',
        rules: ['personal-data/email'],
        hits: [{ direction }],
      });
    }
  });

  test('the strictest of several lines counts, in whatever order they stand', () => {
    const lines = [
      { rules: ['personal-data'], do: 'flag' },
      { rules: ['personal-data/email'], do: 'block' },
      { rules: ['personal-data'], do: 'redact' },
    ] as const;
    for (const order of [lines, [...lines].reverse()]) {
      const check = compileContentPolicy(order.map((line) => ({ ...line, rules: [...line.rules] }))).checkFor('a/b', 'in');
      expect(check && screenValue(check, mail).kind).toBe('blocked');
      expect(check && screenValue(check, { text: '+49 30 901820' }).kind).toBe('redacted');
    }
  });

  test('capabilities with the same lines share one frozen check', () => {
    const policy = compileContentPolicy([{ match: ['hr/*'], rules: ['secrets'], do: 'redact' }]);
    expect(policy.checkFor('hr/a', 'in')).toBe(policy.checkFor('hr/b', 'in'));
    expect(policy.checkFor('hr/a', 'in')).not.toBe(policy.checkFor('hr/a', 'out'));
    expect(Object.isFrozen(policy.checkFor('hr/a', 'in'))).toBe(true);
  });
});
