import { makeCategoryCheck } from '../../src/content/content-check.ts';
import { type Category, categories } from '../../src/content/rule.ts';
import { loadRules } from '../../src/content/rules.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';
import { screenValue } from './screen-at-once.ts';

const all = await loadRules(categories);

interface Score {
  readonly category: Category;
  readonly positives: number;
  readonly negatives: number;
  /** Lines that should have been found. */
  readonly missed: readonly string[];
  /** Lines that should not. */
  readonly wrong: readonly string[];
  readonly precision: number;
  readonly recall: number;
}

/** Runs the rules of one category over the labelled lines; every benign line of every category counts as a negative. */
export function scoreCategory(category: Category): Score {
  const check = makeCategoryCheck('out', [category], 'flag', all);
  const isFound = (text: string) => screenValue(check, { content: [{ type: 'text', text }] }).kind !== 'clean';
  const lines = Object.values(benign).flat();
  const missed = positive[category].filter((text) => !isFound(text));
  const wrong = lines.filter(isFound);
  const found = positive[category].length - missed.length;
  return {
    category,
    positives: positive[category].length,
    negatives: lines.length,
    missed,
    wrong,
    precision: found / (found + wrong.length),
    recall: found / positive[category].length,
  };
}

export function scoreAll(): Score[] {
  return categories.map(scoreCategory);
}
