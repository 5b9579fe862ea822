import type { TrustedIssuer } from '../../identity/issuers.ts';
import { scopesFor } from '../../identity/resource-metadata.ts';
import type { VerifiedToken } from '../../identity/verify-token.ts';
import { compileLimits } from '../../policy/compile-limits.ts';
import type { MemberDocument } from '../../registry/documents.ts';
import { memberBehind } from '../../registry/known-as.ts';
import type { Registry } from '../../registry/registry.ts';
import { type Caller, makeCaller, type Reach, reachOfRoles } from './caller.ts';

/** The callers behind access tokens: one per token and state of the registry. */
export class TokenCallers {
  readonly #registry: Registry | undefined;
  readonly #issuers: readonly TrustedIssuer[];
  readonly #tokens = new WeakMap<Caller, VerifiedToken>();
  #known = new WeakMap<VerifiedToken, Caller | 'disabled'>();

  constructor(registry?: Registry, issuers: readonly TrustedIssuer[] = []) {
    this.#registry = registry;
    this.#issuers = issuers;
    registry?.onChange(() => {
      this.#known = new WeakMap();
    });
  }

  /** Undefined for a member or consumer that was disabled here, whatever their issuer says. */
  of(token: VerifiedToken): Caller | undefined {
    let known = this.#known.get(token);
    if (known === undefined) {
      known = this.#make(token) ?? 'disabled';
      this.#known.set(token, known);
      if (known !== 'disabled') this.#tokens.set(known, token);
    }
    return known === 'disabled' ? undefined : known;
  }

  /** The same caller as the registry has it now; undefined where it is no longer let in. */
  again(caller: Caller): Caller | undefined {
    const token = this.#tokens.get(caller);
    return token === undefined ? undefined : this.of(token);
  }

  /** Whether callers that showed a token are still let in, as the registry is now. */
  stillLetIn(): (caller: Pick<Caller, 'id' | 'member' | 'consumer'>) => boolean {
    const disabled = (this.#registry?.list('member') ?? []).filter(({ body }) => body.isDisabled);
    const names = new Set(disabled.flatMap(({ id, body }) => [id, ...body.identities]));
    const isNamed = (name: string | undefined) => name !== undefined && names.has(name);
    return ({ id, member, consumer }) =>
      !isNamed(id) &&
      !isNamed(member) &&
      (consumer === undefined || this.#registry?.get('consumer', consumer)?.body.isDisabled !== true);
  }

  #make(token: VerifiedToken): Caller | undefined {
    const [id, member] = this.#memberOf(token);
    const consumer = token.consumer === undefined ? undefined : this.#registry?.get('consumer', token.consumer)?.body;
    if (member?.isDisabled === true || consumer?.isDisabled === true) return undefined;
    const roles = [
      ...token.roles.map(({ role, namespace }) => (namespace === undefined ? { role } : { role, namespace })),
      ...(member?.roles ?? []),
    ];
    const ofScopes = reachOfToken(token);
    // A person without a role may nothing; a machine's token is limited by its scopes and by what it was issued for.
    const ofRoles = id === undefined ? undefined : reachOfRoles(roles);
    return makeCaller({
      id: token.principal,
      kind: 'oauth',
      key: undefined,
      consumer: token.consumer,
      member: id,
      identities: member?.identities,
      claims: token.claims,
      roles,
      reaches: [ofScopes, ofRoles].filter((reach) => reach !== undefined),
      missingScopes: (toolbox) => {
        const isScopesDoing = ofScopes?.(toolbox, undefined) === false && ofRoles?.(toolbox, undefined) !== false;
        return isScopesDoing ? scopesFor(this.#issuers, token.issuer, toolbox) : [];
      },
      limits: [
        compileLimits(consumer?.limits ?? [], `consumer ${token.consumer ?? ''}`),
        compileLimits(member?.limits ?? [], `member ${id ?? ''}`),
      ],
      validUntilMs: token.validUntilMs,
    });
  }

  #memberOf(token: VerifiedToken): readonly [id: string | undefined, member: MemberDocument | undefined] {
    const names = [token.principal, ...(token.member === undefined ? [] : [token.member])];
    const registered = memberBehind(this.#registry, names);
    if (registered !== undefined) return [registered.id, registered.body];
    // The id of a registered member is theirs alone, whatever an issuer calls its people.
    const isTaken = token.member !== undefined && this.#registry?.get('member', token.member) !== undefined;
    return [isTaken ? token.principal : token.member, undefined];
  }
}

function reachOfToken({ reach }: VerifiedToken): Reach | undefined {
  if (reach === 'all') return undefined;
  const { toolboxes, namespaces } = reach;
  return (toolbox, capability) =>
    toolboxes.has(toolbox) || (capability === undefined ? namespaces.size > 0 : namespaces.has(capability.namespace));
}

/** A registered member as they would come with a token that says nothing of its own: for explanations. Undefined where refused. */
export function callerOfMember(registry: Registry, id: string): Caller | undefined {
  const member = registry.get('member', id)?.body;
  if (member === undefined || member.isDisabled) return undefined;
  const reach = reachOfRoles(member.roles);
  return makeCaller({
    id: member.identities.find((identity) => identity.startsWith('oauth:')) ?? `member:${id}`,
    kind: 'oauth',
    key: undefined,
    consumer: undefined,
    member: id,
    identities: member.identities,
    roles: member.roles,
    reaches: reach === undefined ? [] : [reach],
    limits: [compileLimits(member.limits ?? [], `member ${id}`)],
  });
}
