import { hiddenTextRules } from './hidden-text.ts';
import { personalDataRules } from './personal-data.ts';
import { promptInjectionRules } from './prompt-injection.ts';
import { type Rule, safetyCategories } from './rule.ts';
import { secretRules } from './secrets.ts';

/** The rules that need no loading. A new pack is one line here. Where findings overlap, the rule further up names them. */
export const rules: readonly Rule[] = [...secretRules, ...personalDataRules, ...promptInjectionRules, ...hiddenTextRules];

/** Whether this category or rule is one of content safety. */
function isSafety(name: string): boolean {
  return safetyCategories.some((category) => name === category || name.startsWith(`${category}/`));
}

/** All the rules that these names of categories and rules may mean, loaded where that is necessary. */
export async function loadRules(names: readonly string[]): Promise<readonly Rule[]> {
  if (!names.some(isSafety)) return rules;
  const { safetyRules } = await import('./safety-rules.ts');
  return [...rules, ...safetyRules];
}
