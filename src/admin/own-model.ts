import type { Caller } from '../call/authenticate.ts';
import { isObject } from '../wire/json.ts';
import { hasRole } from './action.ts';
import { errorAt, type Finding } from './findings.ts';

/**
 * Whether somebody may have the gateway itself call a model for a namespace, beside all that says who may call it and how often: one of
 * that namespace, or of another that they administer. By no other name than `namespace/name`: whose alias a word is may change.
 */
export function isOwnModel(caller: Caller, namespace: string, model: string): boolean {
  if (hasRole(caller, ['admin'])) return true;
  const slash = model.indexOf('/');
  const of = model.slice(0, slash);
  return slash > 0 && (of === namespace || hasRole(caller, ['admin'], of));
}

/** The embeddings model by which a model's cache compares questions. */
export function refuseForeignEmbedder(
  caller: Caller,
  namespace: string,
  { cache }: Readonly<Record<string, unknown>>,
): readonly Finding[] {
  const semantic = isObject(cache) && isObject(cache.semantic) ? cache.semantic : {};
  if (typeof semantic.model !== 'string' || isOwnModel(caller, namespace, semantic.model)) return [];
  return [
    errorAt(
      ['cache', 'semantic', 'model'],
      `${semantic.model} is no model of ${namespace}, nor of a namespace that you administer: write it as namespace/name, or ask whoever administers the whole gateway.`,
    ),
  ];
}
