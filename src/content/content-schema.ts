import { z } from 'zod';
import { suggestName } from '../problems.ts';
import { categories } from './rule.ts';
import { actions, ruleIds } from './rule-names.ts';

const ruleNames: readonly string[] = [...categories, ...ruleIds];

const ruleName = z.string().superRefine((name, context) => {
  if (ruleNames.includes(name)) return;
  const suggestion = suggestName(name, ruleNames) || ` Categories are ${categories.join(', ')}; a rule is one of their parts.`;
  context.addIssue({ code: 'custom', message: `No content rule is named "${name.slice(0, 64)}".${suggestion}` });
});

/** One line of a content policy, as namespace files and administrators write it. */
const contentLineSchema = z.strictObject({
  match: z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(1000)
    .optional()
    .describe('Capabilities it is for, as namespace/name; * is any run of characters. Default: all.'),
  direction: z
    .enum(['in', 'out', 'both'])
    .optional()
    .describe('in: arguments on their way to the upstream; out: what comes back. Default: both.'),
  rules: z.array(ruleName).min(1).max(200).describe('Categories or single rules, e.g. secrets or personal-data/email.'),
  do: z
    .enum(actions)
    .describe('flag: note it on the record; redact: replace what was found; block: refuse the call or its answer.'),
});

export const contentPolicySchema = z
  .array(contentLineSchema)
  .max(200)
  .describe('What is looked for in arguments and answers. Where several lines apply, the strictest one counts.');

export type ContentLine = z.output<typeof contentLineSchema>;
