import { z } from 'zod';

// The one definition of a limit's row: namespace files, operators' actions and the documents of keys, consumers and members all
// read it. Descriptions and messages are read by the person who writes such a row.

const largest = 1_000_000_000;
const mostUsd = 1_000_000;
/** `namespace/name`, either part with `*`; names of capabilities hold neither spaces nor a second slash. */
const capabilityPattern = /^[^\s/]{1,128}\/[^\s/]{1,128}$/;

function wholeNumber(name: string, ofWhat: string, instead: string) {
  const message = `"${name}" must be a whole number of ${ofWhat} from 1 to ${largest}; ${instead}`;
  return z.int(message).min(1, message).max(largest, message);
}

const toBlock = 'to let nobody through, use a rule instead of a limit.';

const budget = z
  .strictObject({
    amount: z
      .number('"amount" must be a number, e.g. 100.')
      .gt(0, '"amount" must be more than 0.')
      .max(largest, `"amount" must be at most ${largest}.`)
      .describe('How much may be used up in one window, in the unit.'),
    window: z
      .enum(['minute', 'hour', 'day', 'month'], '"window" must be minute, hour, day or month.')
      .describe('Calendar window in UTC after which the budget is full again: minute, hour, day or month.'),
    unit: z
      .enum(['calls', 'tokens', 'usd'], '"unit" must be calls, tokens or usd.')
      .describe('What is counted: calls, tokens, or US dollars as the prices of models say.'),
  })
  .superRefine(({ amount, unit }, context) => {
    if (unit !== 'usd' && !Number.isSafeInteger(amount))
      context.addIssue({ code: 'custom', path: ['amount'], message: `"amount" of ${unit} must be a whole number.` });
    if (unit === 'usd' && amount > mostUsd)
      context.addIssue({ code: 'custom', path: ['amount'], message: `"amount" in usd must be at most ${mostUsd}.` });
    if (unit === 'usd' && amount < 0.000001)
      context.addIssue({ code: 'custom', path: ['amount'], message: '"amount" in usd must be at least 0.000001.' });
  });

const glob = z
  .string('"match" must be text like "support/delete_*".')
  .regex(
    capabilityPattern,
    'Write "namespace/name"; * stands for any run of characters, e.g. "support/delete_*", "support/*" or "*/delete_*".',
  );

/** One row of `limits`. */
export const limitSchema = z
  .strictObject({
    per: z
      .enum(
        ['global', 'namespace', 'capability', 'consumer', 'key', 'member'],
        '"per" must be global, namespace, capability, consumer, key or member.',
      )
      .describe(
        'Who or what has a count of its own: each consumer, key, member, namespace or capability; or global, one count for all together.',
      ),
    match: z
      .union([glob, z.array(glob).min(1, '"match" is empty; remove it, or name a capability.').max(100)])
      .optional()
      .describe('Only calls to these capabilities, as "namespace/name"; * stands for any run of characters. Default: all.'),
    rpm: wholeNumber('rpm', 'calls', toBlock).optional().describe('Most calls in any 60 seconds.'),
    tpm: wholeNumber('tpm', 'tokens', toBlock)
      .optional()
      .describe('Most tokens in any 60 seconds. Calls that use no tokens are not held back by it.'),
    concurrency: wholeNumber('concurrency', 'calls', toBlock).optional().describe('Most calls at the same time.'),
    budget: budget.optional().describe('Most that may be used up in a calendar window.'),
    shadow: z
      .boolean('"shadow" must be true or false.')
      .optional()
      .describe('Count and report, but refuse nothing. Default: false.'),
    whenStoreGone: z
      .enum(['open', 'closed', 'share'], '"whenStoreGone" must be open, closed or share.')
      .optional()
      .describe(
        'While the shared counters cannot be reached: open lets calls through, closed refuses them, share gives each replica its part. Default: share.',
      ),
  })
  .refine(
    ({ rpm, tpm, concurrency, budget }) => [rpm, tpm, concurrency, budget].some((number) => number !== undefined),
    'This limit has no number; add at least one of rpm, tpm, concurrency and budget.',
  );

export type LimitRow = z.output<typeof limitSchema>;

/** All rows of one place. Two that would share a counter are refused: each call would count twice. */
export const limitsSchema = z
  .array(limitSchema)
  .max(100, 'At most 100 limits in one place; use * in "match" to cover several capabilities with one row.')
  .superRefine((rows, context) => {
    const seen = new Map<string, number>();
    for (const [at, row] of rows.entries()) {
      for (const [field, identity] of identitiesOf(row)) {
        const earlier = seen.get(identity);
        if (earlier !== undefined) {
          const message = `"${field}" for the same calls is already set in row ${earlier + 1}; remove one of them.`;
          context.addIssue({ code: 'custom', path: [at, field], message });
        }
        seen.set(identity, earlier ?? at);
      }
    }
  });

/** The names of what is counted by a row, by the field that holds the number. A change of the number changes no name. */
export function identitiesOf(row: LimitRow): [field: 'rpm' | 'tpm' | 'concurrency' | 'budget', identity: string][] {
  const { per, shadow = false } = row;
  const match = globsOf(row);
  const name = (kind: string) => JSON.stringify([per, match, kind, shadow]);
  const identities: [field: 'rpm' | 'tpm' | 'concurrency' | 'budget', identity: string][] = [];
  if (row.rpm !== undefined) identities.push(['rpm', name('rpm')]);
  if (row.tpm !== undefined) identities.push(['tpm', name('tpm')]);
  if (row.concurrency !== undefined) identities.push(['concurrency', name('concurrency')]);
  if (row.budget !== undefined) identities.push(['budget', name(`${row.budget.unit} a ${row.budget.window}`)]);
  return identities;
}

/** Sorted and each once: the order in which somebody wrote them decides nothing. Empty where the row is for all. */
export function globsOf({ match = [] }: LimitRow): readonly string[] {
  return [...new Set(typeof match === 'string' ? [match] : match)].sort();
}
