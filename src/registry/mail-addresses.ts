import type { Registry } from './registry.ts';

interface Audience {
  readonly members: readonly string[];
  readonly role: string | undefined;
  readonly namespace: string;
}

const address = /^[^\s@<>",;:\\()[\]]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,180}$/;

/** Mail addresses among the identities of those whom something is for: named members, and whoever has the role there. */
export function mailAddressesOf(registry: Registry, { members, role, namespace }: Audience): readonly string[] {
  return registry.list('member').flatMap(({ id, body }) => {
    if (body.isDisabled) return [];
    const hasRole = body.roles.some(
      (grant) => role !== undefined && grant.role === role && (grant.namespace === undefined || grant.namespace === namespace),
    );
    if (!hasRole && !members.includes(id)) return [];
    return body.identities.filter((identity) => address.test(identity)).slice(0, 1);
  });
}
