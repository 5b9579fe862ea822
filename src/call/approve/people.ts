/** Who may decide on whose call, whether enough have, and who is the same as whom. */
import type { Gate, GateBy } from '../../policy/gate.ts';
import type { Holder, RoleGrant } from '../../registry/documents.ts';
import { isKnownAs } from '../../registry/known-as.ts';
import type { Caller } from '../authenticate.ts';

/** Somebody as far as decisions go. */
export interface Person {
  /** `key:<id>`, `oauth:<issuer>#<subject>` or `local:<user>`. */
  readonly id: string;
  readonly key: string | undefined;
  readonly consumer: string | undefined;
  readonly member: string | undefined;
  /** Of a registered member: what they may have been known as before. */
  readonly identities?: readonly string[] | undefined;
  readonly roles: readonly RoleGrant[];
}

/** As much of somebody as says who they are. */
export type Identity = Omit<Person, 'roles'>;

/** Whoever a call is from, with everyone who held a secret of the key when it was made. */
export interface Requester extends Identity {
  readonly holders: readonly Holder[];
}

/** What one gate asks for, as it is kept with a request. */
export type Requirement = Pick<Gate, 'source' | 'by' | 'quorum' | 'reason'>;

/** Whether they are the same person, or belong to the same application: another key makes nobody somebody else. */
export function isSamePerson(requester: Identity, other: Identity): boolean {
  return (
    requester.id === other.id ||
    (requester.key !== undefined && requester.key === other.key) ||
    (requester.member !== undefined && requester.member === other.member) ||
    isKnownAs(other.identities, requester) ||
    isKnownAs(requester.identities, other) ||
    (requester.consumer !== undefined && requester.consumer === other.consumer && other.member === undefined)
  );
}

/** Whether somebody may be who made the call: the same person, or one who held a secret of the key that made it. */
export function mayBeRequester(requester: Requester, other: Identity): boolean {
  if (isSamePerson(requester, other)) return true;
  return requester.holders.some(({ id, member, consumer }) => isSamePerson({ id, key: undefined, member, consumer }, other));
}

/** Names under which what somebody was handed is noted, and those under which it is asked for: `isSamePerson`, in both directions. */
export function namesOf(person: Identity): Names {
  const { noted, asked } = namesBy(person);
  const { id, key, identities = [] } = person;
  // One person's tokens may call them by a name or not, as their client likes; and who is registered now may not have been then.
  const always = key === undefined ? [id] : [];
  const before = identities.flatMap((identity) => [identity, `member ${identity}`]);
  return { noted: [...new Set([...noted, ...always])], asked: [...new Set([...asked, ...always, ...before])] };
}

interface Names {
  readonly noted: readonly string[];
  readonly asked: readonly string[];
}

function namesBy({ id, member, consumer }: Identity): Names {
  if (consumer === undefined) {
    const own = [member === undefined ? id : `member ${member}`];
    return { noted: own, asked: own };
  }
  // Whoever holds a key of the application alone is any of those who use it; of these, each is somebody else.
  const anybody = `anybody of ${consumer}`;
  if (member === undefined) return { noted: [`consumer ${consumer}`, anybody], asked: [anybody] };
  return { noted: [`member ${member}`, anybody], asked: [`member ${member}`, `consumer ${consumer}`] };
}

/** Whether somebody's word counts for this gate. */
export function mayDecide(by: GateBy, requester: Requester, person: Person, namespace: string): boolean {
  switch (by.kind) {
    case 'caller':
      return person.id === requester.id || (requester.member !== undefined && person.member === requester.member);
    case 'role':
      return !mayBeRequester(requester, person) && holdsRole(person.roles, by.role, namespace);
    case 'members':
      return !mayBeRequester(requester, person) && person.member !== undefined && by.members.includes(person.member);
  }
}

/** Whether they could use the tool decide_approval: a key that was made for an agent alone decides on no other's call. */
export function mayAdminister({ reaches }: Pick<Caller, 'reaches'>): boolean {
  const tool = { namespace: 'admin', name: 'admin/decide_approval', isModel: false };
  return reaches.every((reach) => reach('admin', undefined) && reach('admin', tool));
}

/** The namespace "admin" is the gateway's own, whoever may call themselves its admin. */
function holdsRole(roles: readonly RoleGrant[], role: RoleGrant['role'], namespace: string): boolean {
  return roles.some(
    (grant) =>
      (grant.role === role || grant.role === 'admin') &&
      (grant.namespace === undefined || (grant.namespace === namespace && namespace !== 'admin')),
  );
}

/** Whether these people's consent is enough for every gate. One person counts once, by however many keys they come. */
export function isEnough(
  requirements: readonly Requirement[],
  requester: Requester,
  agreed: readonly Person[],
  namespace: string,
): boolean {
  return requirements.every((requirement) => missingFor(requirement, requester, agreed, namespace) === 0);
}

/** How many more have to agree before this gate opens. */
export function missingFor(
  { by, quorum }: Requirement,
  requester: Requester,
  agreed: readonly Person[],
  namespace: string,
): number {
  const counted = new Set(agreed.filter((person) => mayDecide(by, requester, person, namespace)).map(nameOf));
  return Math.max(0, quorum - counted.size);
}

function nameOf({ id, member, consumer }: Identity): string {
  if (member !== undefined) return `member ${member}`;
  return consumer === undefined ? id : `consumer ${consumer}`;
}
