import { hiddenTextRules } from './hidden-text.ts';
import { personalDataRules } from './personal-data.ts';
import { promptInjectionRules } from './prompt-injection.ts';
import { type Rule, safetyCategories } from './rule.ts';
import { secretRules } from './secrets.ts';

/** The rules that need no loading. A new pack is one line here. Where findings overlap, the rule further up names them. */
export const rules: readonly Rule[] = [...secretRules, ...personalDataRules, ...promptInjectionRules, ...hiddenTextRules];

/** All the rules that these names of categories and rules may mean, loaded where that is necessary. */
export async function loadRules(names: readonly string[]): Promise<readonly Rule[]> {
  const isSafety = (name: string) => safetyCategories.some((category) => name === category || name.startsWith(`${category}/`));
  if (!names.some(isSafety)) return rules;
  const { safetyRules } = await import('./safety-rules.ts');
  return [...rules, ...safetyRules];
}
