import { z } from 'zod';
import { contentPolicySchema } from '../content/content-schema.ts';
import { answerActions } from './answer-action.ts';
import { gatesSchema, labelsSchema } from './gate-schema.ts';
import { limitsSchema } from './limit-rules.ts';
import { checkNetwork } from './network.ts';

// The one definition of a policy: namespace files, operators' actions and bulk files read it. Descriptions are read by the person
// who writes one.

const longestMs = 24 * 60 * 60 * 1000;
const milliseconds = z.int().min(1).max(longestMs);
const capabilityGlob = z
  .string()
  .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name"; * stands for any run of characters, e.g. "support/get_*".');

export const breakerSchema = z.strictObject({
  errorRate: z.number().gt(0).max(1).optional().describe('Share of failed calls that opens the breaker, 0 to 1. Default: 0.5.'),
  minimumCalls: z.int().min(1).max(1_000_000).optional().describe('Calls in the window before the share counts. Default: 10.'),
  windowMs: milliseconds.optional().describe('How far back calls count, in milliseconds. Default: 60000.'),
  openMs: milliseconds.optional().describe('How long no call is tried once it is open, in milliseconds. Default: 30000.'),
  consecutiveFailures: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe('Failures in a row that open the breaker, whatever the share. Default: none.'),
  latencyMs: milliseconds
    .optional()
    .describe(
      'A call that takes longer counts as failed for the breaker; its caller gets the answer all the same. Default: none.',
    ),
  detectOnly: z.boolean().optional().describe('Show when the breaker would open, and refuse nothing. Default: false.'),
});

export type BreakerPolicy = z.output<typeof breakerSchema>;

const retrySchema = z.strictObject({
  match: z
    .array(capabilityGlob)
    .min(1)
    .max(100)
    .describe('Capabilities that may be called twice without harm. What an upstream says of itself does not count.'),
  attempts: z.int().min(2).max(5).optional().describe('Most calls to the upstream for one call of a client. Default: 2.'),
});

export const networkSchema = z
  .array(
    z.string().superRefine((entry, context) => {
      const complaint = checkNetwork(entry);
      if (complaint !== undefined) context.addIssue({ code: 'custom', message: complaint });
    }),
  )
  .max(1000);

/** What limits count, of an answer that is given again. */
export const cacheHitUnits = ['calls', 'tokens', 'money'] as const;

export const policySchema = z.strictObject({
  limits: limitsSchema.optional().describe('Rates, budgets and numbers of calls at the same time.'),
  timeoutMs: milliseconds.optional().describe('Longest silence of a call in milliseconds.'),
  breaker: breakerSchema.optional().describe('When to stop calling what fails, and for how long.'),
  allow: z
    .array(z.string().min(1).max(4096))
    .max(100)
    .optional()
    .describe('Rules in CEL, of which one must be true. An empty list allows nothing. Default: no rules, all is allowed.'),
  network: networkSchema
    .optional()
    .describe('Addresses and ranges that calls may come from. An empty list is nobody. Default: anywhere.'),
  content: contentPolicySchema.optional(),
  answers: z
    .enum(answerActions)
    .optional()
    .describe(
      'What becomes of an answer of an MCP server that is not what its tool promises: flag (it is passed on as it came, and noted on the record), block (it is not passed on) or off (nobody looks). Where several scopes say something, the strictest counts. Default: flag.',
    ),
  labels: labelsSchema.optional(),
  gates: gatesSchema.optional().describe('Calls that wait for a person. Every gate that holds a call must let it pass.'),
  gateDestructive: z
    .boolean()
    .optional()
    .describe(
      'Whether operations of API descriptions that remove something wait for an approver where no gate names them. Default: true.',
    ),
  sampling: z
    .strictObject({
      model: z
        .string()
        .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name" of a registered model.')
        .describe('A registered model, as "namespace/name".'),
      maxTokens: z.int().min(1).max(1_000_000).optional().describe('Most tokens of one answer. Default: 4096.'),
    })
    .optional()
    .describe(
      'Who answers when an upstream asks for a model (sampling) and the client has none. The caller must be allowed to call the model, and its limits count. Default: nobody.',
    ),
  cacheHits: z
    .array(z.enum(cacheHitUnits))
    .max(cacheHitUnits.length)
    .optional()
    .describe(
      'What an answer that a model gives again from its cache uses up of limits: calls (it is one), tokens and money (as many as when it was made). An empty list is nothing. Where several scopes say something, all of it counts. Default: calls.',
    ),
  retry: retrySchema.optional().describe('What may be repeated when it fails.'),
});

export type Policy = z.output<typeof policySchema>;

/** Where a policy's `allow`, `network` and `gates` are right in form but wrong in content. */
export interface PolicyFlaw {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Compiles every rule, for whoever writes a policy. Loads CEL only where there is a rule. */
export async function checkRules(policy: Pick<Policy, 'allow' | 'gates'> | undefined): Promise<readonly PolicyFlaw[]> {
  const rules = [
    ...(policy?.allow ?? []).map((source, index) => ({ path: ['allow', index], source })),
    ...(policy?.gates ?? []).flatMap(({ when }, index) =>
      when === undefined ? [] : [{ path: ['gates', index, 'when'], source: when }],
    ),
  ];
  if (rules.length === 0) return [];
  const { compileRule } = await import('./rule.ts');
  const outcomes = await Promise.all(rules.map(async ({ path, source }) => ({ path, outcome: await compileRule(source) })));
  return outcomes.flatMap(({ path, outcome }) =>
    'problems' in outcome ? outcome.problems.map(({ message }) => ({ path, message })) : [],
  );
}
