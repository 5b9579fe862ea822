import { z } from 'zod';
import { suggestName } from '../problems.ts';
import { categories, judgedCategories } from './rule.ts';
import { actions, ruleIds } from './rule-names.ts';

const ruleNames: readonly string[] = [...categories, ...ruleIds];

const ruleName = z.string().superRefine((name, context) => {
  if (ruleNames.includes(name)) return;
  const suggestion = suggestName(name, ruleNames) || ` Categories are ${categories.join(', ')}; a rule is one of their parts.`;
  context.addIssue({ code: 'custom', message: `No content rule is named "${name.slice(0, 64)}".${suggestion}` });
});

export const judgeSchema = z
  .strictObject({
    model: z
      .string()
      .regex(/^[^\s/*]{1,128}\/[^\s/*]{1,128}$/, 'Write the name of a model, e.g. "models/guard".')
      .optional()
      .describe('A registered model that is asked for a verdict.'),
    url: z
      .string()
      .max(2048)
      .refine((text) => {
        const url = URL.parse(text);
        return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
      }, '"url" must be an http or https address without user and password.')
      .optional()
      .describe('A moderation endpoint that is asked for a verdict.'),
    key: z
      .string()
      .regex(
        /^\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,127}\}$/,
        `Write it as \${secret:NAME}: a secret does not belong into a policy.`,
      )
      .optional()
      .describe('Goes to the endpoint as "Authorization: Bearer"; default: none.'),
    shape: z
      .enum(['openai', 'simple'])
      .optional()
      .describe(
        'How the endpoint is spoken to: as POST /v1/moderations of OpenAI, or { texts, categories } and { flagged, categories }. Default: openai.',
      ),
    moderationModel: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('"model" in the request to an endpoint of OpenAI\'s shape; default: none.'),
    categories: z.array(z.enum(judgedCategories)).min(1).max(20).optional().describe('What it is asked about. Default: all.'),
    threshold: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .describe('A score from which on a category counts as found, 0 to 1. Default: 0.5.'),
    deadlineMs: z
      .int()
      .min(50)
      .max(60_000)
      .optional()
      .describe('How long its verdict is waited for, in milliseconds. Default: 3000.'),
    onFailure: z
      .enum(['open', 'closed'])
      .optional()
      .describe('Without a verdict: open notes it and lets the call pass, closed does what "do" says. Default: closed.'),
  })
  .refine(({ model, url }) => (model === undefined) !== (url === undefined), 'A judge is a "model" or a "url", one of the two.');

/** Who is asked, and how. */
export type JudgeSettings = z.output<typeof judgeSchema>;

/** One line of a content policy, as namespace files and administrators write it. */
const contentLineSchema = z
  .strictObject({
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
    rules: z
      .array(ruleName)
      .min(1)
      .max(200)
      .optional()
      .describe('Categories or single rules, e.g. secrets or personal-data/email.'),
    judge: judgeSchema
      .optional()
      .describe('Asked for a verdict, in place of rules: a moderation endpoint or a registered model.'),
    do: z
      .enum(actions)
      .describe('flag: note it on the record; redact: replace what was found; block: refuse the call or its answer.'),
  })
  .refine(
    ({ rules, judge }) => (rules === undefined) !== (judge === undefined),
    'A line has "rules" or a "judge", one of the two.',
  )
  .refine(
    ({ judge, do: action }) => judge === undefined || action !== 'redact',
    'A judge does not say which words it means: use flag or block.',
  );

export const contentPolicySchema = z
  .array(contentLineSchema)
  .max(200)
  .describe('What is looked for in arguments and answers. Where several lines apply, the strictest one counts.');

export type ContentLine = z.output<typeof contentLineSchema>;
