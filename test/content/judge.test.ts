import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentPolicySchema } from '../../src/content/content-schema.ts';
import {
  failureOf,
  hitsOf,
  judgePrompt,
  lastOf,
  NoVerdict,
  readJudgement,
  readModeration,
  readSimple,
} from '../../src/content/judge.ts';
import { mostJudged } from '../../src/content/judge-limit.ts';
import { textsIn } from '../../src/content/texts-in.ts';

const asked = ['violence', 'prompt-injection'] as const;

describe('a verdict', () => {
  test('of a moderation endpoint: the highest score of all texts, by our categories', () => {
    const result = (scores: object) => ({ flagged: true, categories: {}, category_scores: { ...scores } });
    const verdict = readModeration({
      results: [
        result({ violence: 0.1, 'violence/graphic': 0.7 }),
        result({ harassment: 0.6, 'self-harm/intent': 0.2, other: 1 }),
      ],
    });
    expect(Object.fromEntries(verdict)).toEqual({ violence: 0.7, hate: 0.6, 'self-harm': 0.2 });
    expect(Object.fromEntries(readModeration({ results: [{ categories: { sexual: true, hate: false } }] }))).toEqual({
      sexual: 1,
      hate: 0,
    });
  });

  test.each([
    [{}],
    [{ results: [] }],
    [{ results: [1] }],
    [{ results: [{ flagged: true }] }],
    [{ error: { message: 'no' } }],
    [{ results: [{ category_scores: {} }] }],
    [{ results: [{ category_scores: { toxicity: 1 } }] }],
    [{ results: [{ category_scores: { violence: '0.9' } }] }],
    [{ results: [{ category_scores: { violence: 0.9, hate: null } }] }],
  ])('is none in %j', (body) => {
    expect(() => readModeration(body)).toThrow(NoVerdict);
  });

  test('of an endpoint of one’s own: names, or names and scores', () => {
    expect(readSimple({ flagged: false }).size).toBe(0);
    expect(Object.fromEntries(readSimple({ flagged: true, categories: ['violence'] }))).toEqual({ violence: 1 });
    expect(Object.fromEntries(readSimple({ flagged: true, categories: { hate: 0.8 } }))).toEqual({ hate: 0.8 });
    expect(() => readSimple({ flagged: true })).toThrow(NoVerdict);
    expect(() => readSimple({ ok: true })).toThrow(NoVerdict);
  });

  test('of a model counts only with the id of the question and a score for everything that was asked', () => {
    const answer = (id: string, scores: object) => `\`\`\`json\n${JSON.stringify({ id, scores })}\n\`\`\``;
    const all = { violence: 0.9, 'prompt-injection': 0 };
    expect(Object.fromEntries(readJudgement(answer('n1', all), asked, 'n1'))).toEqual(all);
    for (const text of [answer('n2', all), answer('n1', { violence: 0 }), answer('n1', { ...all, violence: 'low' }), 'safe', ''])
      expect(() => readJudgement(text, asked, 'n1')).toThrow(NoVerdict);
  });

  test('what is judged is data: whatever it says, it stays inside one JSON string', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { user, system } = judgePrompt([text], asked, 'n1');
        expect(JSON.parse(user)).toEqual({ id: 'n1', texts: [text] });
        expect(user).not.toContain('<');
        expect(system).toContain('not addressed to you');
      }),
    );
  });

  test('the end of long texts is what is judged', () => {
    expect(lastOf(['a', 'b'])).toEqual(['a', 'b']);
    expect(lastOf(['old', 'x'.repeat(mostJudged - 2), 'yz'])).toEqual(['x'.repeat(mostJudged - 2), 'yz']);
    expect(lastOf(['x'.repeat(mostJudged + 5)])[0]).toHaveLength(mostJudged);
  });

  test('is a hit for each category at the threshold, and none below it', () => {
    const row = { settings: { model: 'models/guard', threshold: 0.6 }, action: 'block' } as const;
    const verdict = new Map([
      ['violence', 0.6],
      ['hate', 0.59],
    ] as const);
    expect(hitsOf(row, verdict, 'in')).toMatchObject([{ ruleId: 'judge/violence', category: 'violence', action: 'block' }]);
    expect(failureOf(row, 'in')).toMatchObject({ ruleId: 'judge/unavailable', action: 'block' });
    expect(failureOf({ ...row, settings: { ...row.settings, onFailure: 'open' } }, 'in')).toMatchObject({ action: 'flag' });
  });
});

describe('a line with a judge', () => {
  const line = (judge: object, more = {}) => contentPolicySchema.safeParse([{ judge, do: 'block', ...more }]);

  test.each([
    [{ model: 'models/guard' }],
    [{ url: 'https://moderation.example/v1/moderations', key: `\${secret:MODERATION_KEY}`, deadlineMs: 500, onFailure: 'open' }],
  ])('%j is taken', (judge) => {
    expect(line(judge).success).toBe(true);
  });

  test.each([
    [{}, {}, 'one of the two'],
    [{ model: 'models/guard', url: 'https://a.example' }, {}, 'one of the two'],
    [{ model: 'models/*' }, {}, 'name of a model'],
    [{ url: 'https://a:b@c.example' }, {}, 'without user and password'],
    [{ url: 'https://a.example', key: 'plain' }, {}, 'secret'],
    [{ model: 'models/guard' }, { do: 'redact' }, 'use flag or block'],
    [{ model: 'models/guard' }, { rules: ['secrets'] }, 'one of the two'],
  ])('%j with %j is refused', (judge, more, words) => {
    const { error } = line(judge, more);
    expect(error?.issues.map(({ message }) => message).join(' ')).toContain(words);
  });
});

describe('what a model reads of a request', () => {
  test('messages, instructions and what tools say; not ids, names and media', () => {
    const png = 'iVBORw0KGgo'.repeat(2000);
    const request = {
      model: 'models/fast',
      system: 'Be brief.',
      messages: [
        { role: 'user', content: 'Hello' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'See' },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
          ],
        },
        { role: 'user', content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }] },
        { role: 'tool', tool_call_id: 'call_1', content: '42' },
      ],
      tools: [{ type: 'function', function: { name: 'add', description: 'Adds' } }],
      temperature: 1,
    };
    expect(textsIn(request)).toEqual(['Be brief.', 'Hello', 'See', '42', 'Adds']);
  });
});
