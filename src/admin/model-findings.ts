/** What of a model's entry is wrong, or holds nothing, that its form and its targets do not show. */

import type { Catalog } from '../catalog/catalog.ts';
import { checkModelRules } from '../catalog/check-model-rules.ts';
import type { NamespaceFile } from '../catalog/namespace-file.ts';
import { suggestName } from '../problems.ts';
import { isObject } from '../wire/json.ts';
import type { Draft } from './examine-upstream.ts';
import { errorAt, type Finding, warningAt } from './findings.ts';

/** Of an entry without flaws of form; nothing of what is no model. */
export async function findModelFlaws(catalog: Catalog, draft: Pick<Draft, 'namespace' | 'name' | 'entry'>): Promise<Finding[]> {
  const { name, entry } = draft;
  if (entry.kind !== 'model') return [];
  const upstreams = { [name]: entry } as unknown as NamespaceFile['upstreams'];
  const flaws = await checkModelRules({ upstreams });
  return [
    ...flaws.map(({ path, message }) => errorAt(path.slice(2), message)),
    ...warnOfArguments(entry.routing),
    ...warnOfEmbedder(catalog, draft),
  ];
}

/** A call that lacks what a rule looks at goes nowhere: most often not what the writer of the rule had in mind. */
function warnOfArguments(routing: unknown): Finding[] {
  const rules = isObject(routing) && Array.isArray(routing.rules) ? routing.rules : [];
  return rules.flatMap((rule: unknown, at) => {
    const when = isObject(rule) && typeof rule.when === 'string' ? rule.when : '';
    const path = ['routing', 'rules', at, 'when'];
    return unguarded(when).map((member) => warningAt(path, sentenceOn(member)));
  });
}

function sentenceOn(member: string): string {
  const hint = known.has(member) ? '' : suggestName(member, known);
  return `Calls without "${member}" go nowhere, as this rule cannot be asked of them; with "has(args.${member}) && ..." it is just not met.${hint}`;
}

/** Members of requests that rules usually look at. */
const known: ReadonlySet<string> = new Set(
  ['model', 'messages', 'input', 'system', 'instructions', 'prompt', 'tools', 'tool_choice', 'metadata', 'user', 'stream']
    .concat([
      'max_tokens',
      'max_completion_tokens',
      'max_output_tokens',
      'temperature',
      'reasoning',
      'reasoning_effort',
      'thinking',
    ])
    .concat(['response_format', 'text', 'service_tier', 'store', 'safety_identifier', 'conversation', 'previous_response_id']),
);

/** Members of the arguments that a rule reads without asking whether they are there; `model` always is. */
function unguarded(when: string): readonly string[] {
  const read = new Set(Array.from(when.matchAll(/\bargs\.([A-Za-z_]\w*)/g), ([, member = '']) => member));
  return [...read].filter((member) => member !== 'model' && !new RegExp(`\\bhas\\(\\s*args\\.${member}\\b`).test(when));
}

function warnOfEmbedder(
  catalog: Catalog,
  { namespace, name, entry: { cache } }: Pick<Draft, 'namespace' | 'name' | 'entry'>,
): Finding[] {
  const semantic = isObject(cache) && isObject(cache.semantic) ? cache.semantic : {};
  const { model } = semantic;
  if (typeof model !== 'string') return [];
  const path = ['cache', 'semantic', 'model'];
  const found = catalog.modelNames.get(model)?.member.config;
  if (found === undefined || found.id === `${namespace}/${name}`) {
    // Whoever may name a model of a namespace looks after that namespace.
    const [meant] = model.split('/', 1);
    const ids = Array.from(catalog.models.tools.values(), ({ member }) => member.id);
    const hint = suggestName(
      model,
      ids.filter((id) => id.startsWith(`${meant}/`)),
    );
    return [
      warningAt(
        path,
        `There is no other model "${model}", so questions are compared by their meaning only once there is.${hint}`,
      ),
    ];
  }
  const { transport } = found;
  if (transport.type !== 'model' || transport.can.includes('embeddings')) return [];
  return [
    warningAt(
      path,
      `${model} does not say that it makes embeddings: name "embeddings" in its "can" if it does, or another model here.`,
    ),
  ];
}
