import { hiddenTextRules } from './hidden-text.ts';
import { personalDataRules } from './personal-data.ts';
import { promptInjectionRules } from './prompt-injection.ts';
import type { Rule } from './rule.ts';
import { secretRules } from './secrets.ts';

/** Every rule there is. A new pack is one line here. Where findings overlap, the rule further up names them. */
export const rules: readonly Rule[] = [...secretRules, ...personalDataRules, ...promptInjectionRules, ...hiddenTextRules];
