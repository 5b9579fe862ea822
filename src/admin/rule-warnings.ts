/** Names in a rule that nothing is called by: what compares with one says the same for every call. */
import type { Comparison } from '../policy/comparisons.ts';
import { comparisonsOf } from '../policy/rule.ts';
import { factTable } from '../policy/rule-facts.ts';
import { suggestName } from '../problems.ts';
import { namespaceIn } from './known-names.ts';
import type { Nameable } from './policy-warnings.ts';

/** A sentence for each, found as they are taken. `names`: capabilities that the rule is asked about. Nothing is said of a rule that was not compiled here. */
export function* ruleWarnings(known: Nameable, names: ReadonlySet<string>, source: string): Iterable<string> {
  for (const one of comparisonsOf(source)) {
    const why = whyNever(known, names, one);
    if (why !== undefined) yield `it compares ${one.fact} with "${one.text}", ${why}`;
  }
}

function whyNever(known: Nameable, names: ReadonlySet<string>, { fact, text }: Comparison): string | undefined {
  const values = valuesOf(fact);
  if (values !== undefined)
    return values.includes(text)
      ? undefined
      : `which it never is.${suggestName(text, values) || ` It is one of ${values.join(', ')}.`}`;
  switch (fact) {
    case 'caller.consumer':
      return notIn(known.consumers, text, 'consumer', ', and no token brings one');
    case 'caller.member':
      return notIn(known.people, text, 'member', ', and no token brings one');
    case 'capability.namespace':
      return notIn(known.namespaces, text, 'namespace');
    case 'capability.upstream':
      return isUnready(known, text) ? undefined : notIn(known.upstreams, text, 'upstream', '', named);
    case 'capability.name':
      return isUnready(known, text) || names.has(text) ? undefined : notACapability(known, names, text);
    default:
      return undefined;
  }
}

function valuesOf(fact: string): readonly string[] | undefined {
  const [group = '', member = ''] = fact.split('.');
  return factTable[group]?.[member]?.values;
}

const named = ' It is named as "namespace/name".';

/** `known` is undefined where not all of them can be known. */
function notIn(known: ReadonlySet<string> | undefined, text: string, what: string, besides = '', hint = ''): string | undefined {
  if (known === undefined || known.has(text)) return undefined;
  const meant = suggestName(text, known) || suggestWhole(text, known) || (text.includes('/') ? '' : hint);
  return `but there is no such ${what}${besides}: it never is that until there is.${meant}`;
}

/** `people` for `hr/people`. */
function suggestWhole(text: string, known: Iterable<string>): string {
  for (const name of known) if (name.endsWith(`/${text}`)) return ` Did you mean "${name}"?`;
  return '';
}

function notACapability({ capabilities, upstreams }: Nameable, names: ReadonlySet<string>, text: string): string | undefined {
  // So resources are called, and not all of them are listed.
  if (upstreams.has(text)) return undefined;
  if (capabilities.has(text)) return 'which is not in the scope of this policy.';
  return notIn(names, text, 'capability', '', named);
}

function isUnready({ unready }: Nameable, name: string): boolean {
  return unready.has(namespaceIn(name));
}
