import type { Flaw } from '../describe-issue.ts';
import type { NamespaceFile } from './namespace-file.ts';

/** Compiles the rules by which models choose their targets, for whoever writes them. Loads CEL only where there is one. */
export async function checkModelRules({ upstreams = {} }: Pick<NamespaceFile, 'upstreams'>): Promise<readonly Flaw[]> {
  const rules = Object.entries(upstreams).flatMap(([name, upstream]) =>
    upstream.kind !== 'model'
      ? []
      : (upstream.routing?.rules ?? []).map(({ when }, at) => ({
          path: ['upstreams', name, 'routing', 'rules', at, 'when'],
          when,
        })),
  );
  if (rules.length === 0) return [];
  const { compileRule } = await import('../policy/rule.ts');
  const outcomes = await Promise.all(rules.map(async ({ path, when }) => ({ path, outcome: await compileRule(when) })));
  return outcomes.flatMap(({ path, outcome }) =>
    'problems' in outcome ? outcome.problems.map(({ message }) => ({ path, message })) : [],
  );
}
