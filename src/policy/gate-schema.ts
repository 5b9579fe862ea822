import { z } from 'zod';

// The one definition of a gate: namespace files, operators' actions and bulk files read it. Descriptions and messages are read by the
// person who writes one.

export const defaultGateExpiresMs = 30 * 60 * 1000;
export const defaultWithinMs = 60 * 60 * 1000;
/** How long anybody has to remember what callers were handed. */
export const longestWithinMs = 7 * 24 * 60 * 60 * 1000;
const longestMs = 7 * 24 * 60 * 60 * 1000;
const mostApprovers = 10;

const glob = z
  .string('"match" must be text like "support/delete_*".')
  .regex(
    /^[^\s/]{1,128}\/[^\s/]{1,128}$/,
    'Write "namespace/name"; * stands for any run of characters, e.g. "support/delete_*" or "*/delete_*".',
  );

const memberId = z
  .string('A member is named by its id.')
  .regex(/^[^\p{C}\s]{1,256}$/u, 'A member is named by its id, without spaces.');

const by = z
  .union(
    [
      z.literal('caller'),
      z.strictObject({ role: z.enum(['admin', 'approver', 'developer', 'auditor']) }),
      z.strictObject({ members: z.array(memberId).min(1, '"members" is empty; name those who decide.').max(100) }),
    ],
    'Write "caller", { role: approver }, or { members: [ann, bob] }.',
  )
  .describe(
    'Who decides: "caller" (whoever calls, asked by their own client), everybody with a role in the namespace, or these members. Except for "caller", nobody decides on a call of their own. Default: { role: approver }.',
  );

const label = z
  .string('A label is text like "untrusted-source".')
  .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'A label is small letters, digits and hyphens, e.g. "untrusted-source".');

const globs = z.union([glob, z.array(glob).min(1, 'The list is empty; name a capability.').max(100)]);

/** What capabilities are, in an operator's words: what an upstream says of itself decides nothing here. */
export const labelsSchema = z
  .record(label, globs)
  .refine((labels) => Object.keys(labels).length <= 50, 'At most 50 labels in one place.')
  .describe(
    'What capabilities are, for gates that ask what was called before: a name of your own, and the capabilities it is for, as "namespace/name" with * for any run of characters. Resources are named as their upstream is.',
  );

export const gateSchema = z
  .strictObject({
    match: z
      .union([glob, z.array(glob).min(1, '"match" is empty; remove it, or name a capability.').max(100)])
      .optional()
      .describe('Only calls to these capabilities, as "namespace/name"; * stands for any run of characters. Default: all.'),
    when: z
      .string()
      .min(1)
      .max(4096)
      .optional()
      .describe(
        'A rule in CEL: only calls for which it is true. A call for which it cannot be told waits as well. Default: all.',
      ),
    after: z
      .union(
        [label, z.array(label).min(1, '"after" is empty; remove it, or name a label.').max(10)],
        'Write a label, or a list of labels, e.g. untrusted-source: small letters, digits and hyphens.',
      )
      .optional()
      .describe(
        'A label, or several: only calls of somebody who was handed something of each of them before, within "withinMs". Whether that is so counts over all keys, toolboxes and replicas; where it cannot be told, the call waits. Default: all.',
      ),
    withinMs: z
      .int('"withinMs" must be a whole number of milliseconds.')
      .min(60_000, '"withinMs" must be at least 60000, a minute.')
      .max(longestWithinMs, `"withinMs" must be at most ${longestWithinMs}, seven days.`)
      .optional()
      .describe('How long ago that was at most, in milliseconds. Default: 3600000.'),
    by: by.optional(),
    quorum: z
      .int('"quorum" must be a whole number.')
      .min(1)
      .max(mostApprovers, `"quorum" must be at most ${mostApprovers}.`)
      .optional()
      .describe('How many different people must agree. Default: 1.'),
    expiresMs: z
      .int()
      .min(1000)
      .max(longestMs)
      .optional()
      .describe('How long after it was asked for a call may still be approved and made, in milliseconds. Default: 1800000.'),
    reason: z.string().min(1).max(500).optional().describe('What those who wait and those who decide are told.'),
  })
  .superRefine(({ by: who, quorum = 1, after, withinMs }, context) => {
    if (withinMs !== undefined && after === undefined)
      context.addIssue({ code: 'custom', path: ['withinMs'], message: '"withinMs" goes with "after": say after what.' });
    const flaw = (message: string) => context.addIssue({ code: 'custom', path: ['quorum'], message });
    if (who === 'caller' && quorum > 1) flaw('There is one caller: "quorum" goes with a role or members.');
    if (typeof who === 'object' && 'members' in who && quorum > new Set(who.members).size)
      flaw('"quorum" is more than there are members; the call could never be made.');
  });

export type GateRow = z.output<typeof gateSchema>;

export const gatesSchema = z
  .array(gateSchema)
  .max(100, 'At most 100 gates in one place; use * in "match" to cover more with one.');
