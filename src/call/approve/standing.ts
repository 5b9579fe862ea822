/** What people who said something earlier are now. */
import type { RoleGrant } from '../../registry/documents.ts';
import { memberBehind } from '../../registry/known-as.ts';
import type { Registry } from '../../registry/registry.ts';
import type { KeyRing } from '../authenticate/key-ring.ts';
import type { TokenCallers } from '../authenticate/token-callers.ts';
import type { Caller } from '../authenticate.ts';
import type { Identity, Person } from './people.ts';

interface StandingPorts {
  readonly keys: Pick<KeyRing, 'callerOf'>;
  readonly callers: Pick<TokenCallers, 'stillLetIn'>;
  readonly registry: Pick<Registry, 'get' | 'list'>;
}

/** Somebody who decided, as they were then. */
export interface Decider extends Identity {
  /** That a token gave them: nobody can be asked for these again. */
  readonly tokenRoles: readonly RoleGrant[];
}

/** How somebody who decides now is remembered. */
export function deciderOf({ registry }: Pick<StandingPorts, 'registry'>, caller: Caller): Decider {
  const { id, key, consumer, member, roles } = caller;
  const registered = member === undefined ? [] : (registry.get('member', member)?.body.roles ?? []);
  const isRegistered = (grant: RoleGrant) =>
    registered.some(({ role, namespace }) => role === grant.role && namespace === grant.namespace);
  const tokenRoles = key === undefined ? roles.filter((grant) => !isRegistered(grant)) : [];
  return { id, key, consumer, member, tokenRoles };
}

/** Who they are now; undefined where they would no longer be let in. */
export function standingOf({ keys, callers, registry }: StandingPorts, decider: Decider): Person | undefined {
  const { id, key, consumer, member, tokenRoles } = decider;
  if (key !== undefined) return keys.callerOf(key);
  if (id.startsWith('local:')) return { id, key, consumer, member, roles: tokenRoles };
  if (!callers.stillLetIn()(decider)) return undefined;
  // They may have been registered since.
  const now = memberBehind(registry, member === undefined ? [id] : [id, member]);
  const named = now?.id ?? member;
  const registered = named === undefined ? undefined : registry.get('member', named)?.body;
  const roles = [...tokenRoles, ...(registered?.roles ?? [])];
  return { id, key, consumer, member: named, identities: registered?.identities, roles };
}
