import { describe, expect, test } from 'vitest';
import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { foldText } from '../../src/content/fold.ts';
import { findHiddenText, stripHiddenText } from '../../src/content/hidden-text.ts';
import { categories, safetyCategories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';
import { scoreCategory } from '../support/content-scores.ts';
import { screenValue } from '../support/screen-at-once.ts';

const rules = await loadRules(categories);

describe('content rules on the labelled lines', () => {
  test.each([
    ['secrets', 0.98, 0.9],
    ['personal-data', 0.94, 0.86],
    ['prompt-injection', 0.93, 0.85],
    ['hidden-text', 0.98, 0.95],
    ['violence', 0.9, 0.75],
    ['self-harm', 0.9, 0.75],
    ['sexual', 0.9, 0.8],
    ['hate', 0.9, 0.8],
    ['illicit', 0.85, 0.75],
    ['profanity', 0.95, 0.8],
  ] as const)('%s: precision stays above %d, recall above %d', (category, precision, recall) => {
    const score = scoreCategory(category);
    expect(score.precision, score.wrong.join('\n')).toBeGreaterThanOrEqual(precision);
    expect(score.recall, score.missed.join('\n')).toBeGreaterThanOrEqual(recall);
  });

  test('the quick look hides nothing of what the rules of content safety find', () => {
    const check = makeCategoryCheck('out', safetyCategories, 'flag', rules);
    for (const text of [...Object.values(positive).flat(), ...Object.values(benign).flat()]) {
      const view = foldText(text);
      const found = check.rules.filter(({ rule }) => {
        let isFound = false;
        rule.find(view, () => {
          isFound = true;
          return true;
        });
        return isFound;
      });
      const seen = screenValue(check, { text });
      const ids = 'hits' in seen ? seen.hits.map(({ ruleId }) => ruleId) : [];
      expect(ids.sort(), text).toEqual(found.map(({ rule }) => rule.id).sort());
    }
  });

  test('ids are unique and begin with their category', () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
    for (const { id, category } of rules) expect(id).toMatch(new RegExp(`^${category}/[a-z-]+$`));
  });
});

describe('PJ-02: hidden text', () => {
  test.each(positive['hidden-text'].map((text) => [text]))('%j is found, and all but words in mixed alphabets goes', (text) => {
    expect(findHiddenText(text)).not.toEqual([]);
    expect(findHiddenText(stripHiddenText(text)).filter(({ ruleId }) => ruleId !== 'hidden-text/mixed-alphabets')).toEqual([]);
  });

  test.each([['Plain words.'], ['naïve Привет 你好'], ['👩‍💻 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ ❤️'], ['می‌خواهم']])(
    '%j hides nothing and stays as it is',
    (text) => {
      expect(findHiddenText(text)).toEqual([]);
      expect(stripHiddenText(text)).toBe(text);
    },
  );

  test('what is found says how often and where first', () => {
    expect(findHiddenText('a\u200bb c\u200bd')).toMatchObject([{ ruleId: 'hidden-text/invisible-characters', count: 2, at: 1 }]);
  });
});
