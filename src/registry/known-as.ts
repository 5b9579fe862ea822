import type { Entry, Registry } from './registry.ts';

/** Somebody by the names that they came with. */
interface Named {
  readonly id: string;
  readonly member?: string | undefined;
}

/** The registered member who signs in by one of these names. */
export function memberBehind(
  registry: Pick<Registry, 'list'> | undefined,
  names: readonly string[],
): Entry<'member'> | undefined {
  return registry?.list('member').find(({ body }) => body.identities.some((identity) => names.includes(identity)));
}

/**
 * Whether what was kept of somebody is of who signs in by these identities: before they were registered they came by their own name,
 * or by the one that their issuer calls them.
 */
export function isKnownAs(identities: readonly string[] | undefined, { id, member }: Named): boolean {
  return identities?.some((identity) => identity === id || identity === member) === true;
}
