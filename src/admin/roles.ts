import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import type { RoleGrant } from '../registry/documents.ts';
import type { Action } from './action.ts';

/** Whether somebody has one of these roles: everywhere, or in this namespace. An admin has them all. */
export function hasRole(caller: Pick<Caller, 'roles'>, roles: readonly RoleGrant['role'][], namespace?: string): boolean {
  return caller.roles.some(
    (grant) =>
      (grant.role === 'admin' || roles.includes(grant.role)) && (grant.namespace === undefined || grant.namespace === namespace),
  );
}

/** Throws GatewayError `forbidden`; without a namespace, only whoever has the role everywhere passes. */
export function requireRole(caller: Caller, roles: readonly RoleGrant['role'][], namespace?: string): void {
  if (hasRole(caller, roles, namespace)) return;
  const where = namespace === undefined ? 'for the whole gateway' : `in the namespace ${namespace}`;
  throw new GatewayError('forbidden', `This needs the role ${roles.join(' or ')} ${where}, which ${caller.id} has not.`);
}

/** The namespaces in which somebody has one of these roles. */
export function namespacesOf(caller: Caller, roles: readonly RoleGrant['role'][]): 'all' | ReadonlySet<string> {
  const grants = caller.roles.filter(({ role }) => role === 'admin' || roles.includes(role));
  if (grants.some(({ namespace }) => namespace === undefined)) return 'all';
  return new Set(grants.flatMap(({ namespace }) => namespace ?? []));
}

/** Whether an action shows in lists and can be called by name: its caller has one of its roles somewhere. */
export function maySee(caller: Caller, action: Pick<Action, 'roles'>): boolean {
  return caller.roles.some(({ role }) => role === 'admin' || action.roles.includes(role));
}
