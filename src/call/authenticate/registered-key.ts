import type { KeyDocument, RoleGrant } from '../../registry/documents.ts';
import type { Registry } from '../../registry/registry.ts';
import { type Reach, reachOfRoles, reachOfScope } from './caller.ts';

/** Whether a registered key is let in, and if not, why. */
interface KeyState {
  readonly state: 'active' | 'disabled' | 'revoked' | 'expired' | 'suspended';
  /** A sentence, for whoever administers it; never for whoever shows the key. */
  readonly why: string;
}

/** Whoever a key depends on and is gone or disabled takes it along. */
export function stateOf(registry: Registry | undefined, body: KeyDocument, nowMs: number): KeyState {
  if (body.state === 'revoked') return { state: 'revoked', why: 'It was revoked, for good.' };
  if (body.state === 'disabled') return { state: 'disabled', why: 'It was disabled; it can be enabled again.' };
  if (nowMs >= (body.expiresAtMs ?? Number.POSITIVE_INFINITY)) return { state: 'expired', why: 'It has expired.' };
  const needed = [
    ['consumer', body.consumer, 'its consumer'],
    ['member', body.member, 'its owner'],
    ['member', body.issuer, 'the member who issued it'],
  ] as const;
  for (const [kind, id, what] of needed) {
    if (id === undefined) continue;
    const found = registry?.get(kind, id)?.body;
    if (found !== undefined && !found.isDisabled) continue;
    return { state: 'suspended', why: `${what}, ${id}, is ${found === undefined ? 'not registered' : 'disabled'}.` };
  }
  return { state: 'active', why: 'It is valid.' };
}

/** What limits where a key may go, each by name: all must let a call pass. */
export function reachesOf(registry: Registry | undefined, body: KeyDocument): readonly (readonly [name: string, reach: Reach])[] {
  const member = body.member === undefined ? undefined : registry?.get('member', body.member)?.body;
  const issuer = body.issuer === undefined ? undefined : registry?.get('member', body.issuer)?.body;
  const reaches: readonly (readonly [string, Reach | undefined])[] = [
    ['the scope of the key', reachOfScope(body.scope)],
    [`the roles of ${body.member}`, member && reachOfRoles(member.roles)],
    [`the roles of ${body.issuer}, who issued the key,`, issuer && reachOfRoles(issuer.roles)],
  ];
  return reaches.flatMap(([name, reach]) => (reach === undefined ? [] : [[name, reach] as const]));
}

/** What a key may administer: what its owner may, as far as whoever issued it may too. */
export function rolesOf(registry: Registry | undefined, body: KeyDocument): readonly RoleGrant[] {
  const member = body.member === undefined ? undefined : registry?.get('member', body.member)?.body;
  if (member === undefined || body.issuer === undefined || body.issuer === body.member) return member?.roles ?? [];
  return commonRoles(member.roles, registry?.get('member', body.issuer)?.body.roles ?? []);
}

/** The grants of the first that the second covers, cut down to where it does; an admin covers every role. */
export function commonRoles(roles: readonly RoleGrant[], bound: readonly RoleGrant[]): readonly RoleGrant[] {
  return roles.flatMap(({ role, namespace }) =>
    bound.flatMap((other) => {
      if (other.role !== 'admin' && other.role !== role) return [];
      if (namespace !== undefined && other.namespace !== undefined && namespace !== other.namespace) return [];
      const where = namespace ?? other.namespace;
      return where === undefined ? [{ role }] : [{ role, namespace: where }];
    }),
  );
}
