import { z } from 'zod';
import { contentPolicySchema, judgeSchema } from '../content/content-schema.ts';
import { categories } from '../content/rule.ts';
import { actions } from '../content/rule-names.ts';
import { GatewayError } from '../errors.ts';
import type { Policy } from '../policy/policy-schema.ts';
import { scopeId } from '../registry/compose.ts';
import { defineAction } from './action.ts';
import { commitChange, requireRevision, revisionField } from './change.ts';
import { refuseForeignJudges, requireScope, scopeField, scopeOf, warningsField } from './policies.ts';
import { policyWarnings } from './policy-warnings.ts';

const treatment = z
  .strictObject({
    in: z
      .enum([...actions, 'off'])
      .optional()
      .describe('What is done on the way in. Default: as it is.'),
    out: z
      .enum([...actions, 'off'])
      .optional()
      .describe('What is done on the way out. Default: as it is.'),
  })
  .describe('flag, redact, block, or off.');

const judgement = z
  .strictObject({
    in: z.enum(['flag', 'block', 'off']).optional(),
    out: z.enum(['flag', 'block', 'off']).optional(),
    ask: judgeSchema,
  })
  .nullable()
  .describe('Who is asked besides, and what is done with the verdict; null: nobody any more.');

export const setContentPolicy = defineAction({
  name: 'set_content_policy',
  title: 'Set what content is looked for',
  description:
    'Turns categories of content on and off for the whole gateway, a namespace, a model or another capability: secrets, personal data, prompt injection, hidden text, and the categories of content safety, per direction, with flag, redact or block. Categories that are not named stay as they are, as do rules with a "match" of their own and all other parts of the policy. Where several scopes speak of a category, the strictest counts: it cannot be turned off for one model where a wider scope turns it on.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /content-policies/{scope}',
  input: z.strictObject({
    scope: scopeField,
    categories: z
      .partialRecord(z.enum(categories), treatment)
      .optional()
      .describe('E.g. { "violence": { "in": "block", "out": "block" }, "profanity": { "out": "off" } }.'),
    judge: judgement.optional(),
    revision: revisionField,
  }),
  output: z.object({
    scope: z.string(),
    categories: z
      .record(z.string(), z.object({ in: z.string(), out: z.string() }))
      .describe('What this scope itself says of every category.'),
    content: contentPolicySchema.describe('The lines that the policy of this scope has now.'),
    revision: z.number().nullable(),
    warnings: warningsField,
  }),
  async run(ports, caller, { scope: wanted, categories: treatments = {}, judge, revision }, ip) {
    const scope = scopeOf(wanted);
    requireScope(caller, scope, ['admin']);
    const id = scopeId(scope);
    const known = ports.registry.get('policy', id);
    requireRevision('policy', id, known, revision);
    const before = known?.body.policy ?? {};
    const content = withJudge(withCategories(before.content ?? [], treatments), judge);
    const checked = contentPolicySchema.safeParse(content);
    if (!checked.success)
      throw new GatewayError(
        'bad_arguments',
        `This policy was not set. ${checked.error.issues.map(({ message }) => message).join(' ')}`,
      );
    refuseForeignJudges(caller, scope, content);
    const { content: _, ...rest } = before;
    const policy: Policy = content.length === 0 ? rest : { ...rest, content };
    const body = Object.keys(policy).length === 0 ? undefined : { policy };
    if (known !== undefined || body !== undefined)
      await commitChange(ports, caller, {
        action: 'set_content_policy',
        edits: [{ kind: 'policy', id, body }],
        detail: { scope: id, content },
      });
    const now = ports.registry.get('policy', id)?.revision ?? null;
    const warnings = await policyWarnings(ports, caller, ip, scope, content.length === 0 ? null : { content });
    return {
      scope: id,
      categories: tableOf(content),
      content,
      revision: now,
      ...(warnings.length === 0 ? {} : { warnings }),
    };
  },
});

type Lines = NonNullable<Policy['content']>;
type Line = Lines[number];
type Treatments = Partial<Record<(typeof categories)[number], z.output<typeof treatment>>>;

/** The lines with what they say of these categories changed; a line becomes one for each direction where only one changes. */
function withCategories(lines: Lines, treatments: Treatments): Lines {
  let changed: Lines = lines;
  for (const [category, treatment] of Object.entries(treatments)) {
    for (const direction of ['in', 'out'] as const) {
      const wanted = treatment[direction];
      if (wanted === undefined) continue;
      changed = changed.flatMap((line) => withoutCategory(line, category, direction));
      if (wanted !== 'off') changed = [...changed, { direction, rules: [category], do: wanted }];
    }
  }
  return joined(changed);
}

// What names single capabilities was written for them, and stays.
function withoutCategory(line: Line, category: string, direction: 'in' | 'out'): Lines {
  const { rules, direction: of = 'both' } = line;
  const isAbout = (name: string) => name === category || name.startsWith(`${category}/`);
  if (rules === undefined || line.match !== undefined || !rules.some(isAbout)) return [line];
  if (of !== 'both' && of !== direction) return [line];
  const other = direction === 'in' ? ('out' as const) : ('in' as const);
  const rest = rules.filter((name) => !isAbout(name));
  const left: Lines = rest.length === 0 ? [] : [{ ...line, rules: rest }];
  return of === 'both' ? [...left, { ...line, direction: other, rules: rules.filter(isAbout) }] : left;
}

/** Lines that do the same in the same direction, or the same in both, are one. */
function joined(lines: Lines): Lines {
  const byAction = new Map<string, Set<string>>();
  const others: Line[] = [];
  for (const line of lines) {
    if (line.rules === undefined || line.match !== undefined) {
      others.push(line);
      continue;
    }
    for (const direction of line.direction === undefined || line.direction === 'both' ? ['in', 'out'] : [line.direction]) {
      const key = `${direction} ${line.do}`;
      byAction.set(key, new Set([...(byAction.get(key) ?? []), ...line.rules]));
    }
  }
  const own = actions.flatMap((action): Lines => {
    const into = byAction.get(`in ${action}`) ?? new Set();
    const out = byAction.get(`out ${action}`) ?? new Set();
    const both = [...into].filter((name) => out.has(name));
    return [
      ...lineOf('both', both, action),
      ...lineOf(
        'in',
        [...into].filter((name) => !out.has(name)),
        action,
      ),
      ...lineOf(
        'out',
        [...out].filter((name) => !into.has(name)),
        action,
      ),
    ];
  });
  return [...own, ...others];
}

function lineOf(direction: 'in' | 'out' | 'both', rules: string[], action: Line['do']): Lines {
  return rules.length === 0 ? [] : [{ direction, rules, do: action }];
}

function withJudge(lines: Lines, judge: z.output<typeof judgement> | undefined): Lines {
  if (judge === undefined) return lines;
  const rest = lines.filter((line) => line.judge === undefined || line.match !== undefined);
  if (judge === null) return rest;
  const own = (['in', 'out'] as const).flatMap((direction): Lines => {
    const wanted = judge[direction] ?? 'off';
    return wanted === 'off' ? [] : [{ direction, judge: judge.ask, do: wanted }];
  });
  return [...rest, ...own];
}

/** What a scope's own lines say of whole categories. */
function tableOf(lines: Lines): Record<string, { in: string; out: string }> {
  const said = (category: string, direction: 'in' | 'out') =>
    lines
      .filter(
        (line) =>
          line.match === undefined && line.rules?.includes(category) && [direction, 'both', undefined].includes(line.direction),
      )
      .map((line) => line.do)
      .sort((a, b) => actions.indexOf(b) - actions.indexOf(a))[0] ?? 'off';
  return Object.fromEntries(categories.map((category) => [category, { in: said(category, 'in'), out: said(category, 'out') }]));
}
