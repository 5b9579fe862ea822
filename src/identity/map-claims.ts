import { isObject } from '../wire/json.ts';
import type { ClaimRules, Reach, RoleGrant } from './issuers.ts';

/** What a token's claims mean here. */
export interface MappedClaims {
  /**
   * The person: with `member: sub` the principal itself, so that the same `sub` of two issuers is two people; so too where the token
   * says nobody's name. Undefined where there is no rule, and for a client in its own name.
   */
  readonly member: string | undefined;
  /** Of a person whom their token does not name, where their issuer names people. */
  readonly isNameless: boolean;
  readonly consumer: string | undefined;
  readonly roles: readonly RoleGrant[];
  /** The token's scopes that a rule names; others mean nothing. */
  readonly scopes: readonly string[];
  readonly reach: Reach;
}

/** What a valid token said. Every value is the issuer's or its users' text: nothing but an exact match gives a right. */
export type Claims = Readonly<Record<string, unknown>>;

const longestName = 256;
/** No group list is read further; what is beyond gives no right. */
const mostValues = 1000;

/** Reads a token's claims by its issuer's rules. `principal` is who the token is about, unmistakably. Never throws. */
export function mapClaims(rules: ClaimRules, claims: Claims, principal: string): MappedClaims {
  const member = memberOf(rules.member, claims, principal);
  const scopes = rules.scopes === undefined ? [] : grantedScopes(claims).filter((name) => rules.scopes?.has(name));
  return Object.freeze({
    member,
    isNameless: member === principal && rules.member?.kind !== 'subject',
    consumer: consumerOf(rules.consumer, claims),
    roles: Object.freeze(
      rules.roles.filter(({ path, values }) => holdsAny(follow(claims, path), values)).map(({ grant }) => grant),
    ),
    scopes: Object.freeze(scopes),
    reach: reachOf(rules.scopes, scopes),
  });
}

// Clients choose whether a token says an address, and people change theirs: who is not named is no machine for that, which needs no role.
function memberOf(rule: ClaimRules['member'], claims: Claims, principal: string): string | undefined {
  if (rule === undefined) return undefined;
  if (rule.kind === 'subject') return principal;
  const said = follow(claims, rule.kind === 'claim' ? rule.path : ['email']);
  const name = rule.kind === 'claim' ? nameFrom(said) : addressFrom(said, claims);
  // A name that reads like a principal would be somebody of any issuer.
  if (name !== undefined && !/^(?:oauth|key|local):/.test(name)) return name;
  return said === undefined && isClientItself(claims) ? undefined : principal;
}

/** A token that a client got for itself is about that client (RFC 9068 section 2.2). */
function isClientItself(claims: Claims): boolean {
  const [sub, client, party] = ['sub', 'client_id', 'azp'].map((name) => follow(claims, [name]));
  return typeof sub === 'string' && sub === (client ?? party);
}

function addressFrom(said: unknown, claims: Claims): string | undefined {
  // Many issuers let their users write any address; only a verified one says who somebody is.
  const email = follow(claims, ['email_verified']) === true ? nameFrom(said) : undefined;
  // ASCII only: toLowerCase makes a plain k of the Kelvin sign, and with it one person of two.
  return email?.includes('@') === true ? email.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()) : undefined;
}

function consumerOf(rule: ClaimRules['consumer'], claims: Claims): string | undefined {
  if (rule === undefined) return undefined;
  return rule.kind === 'fixed' ? rule.name : nameFrom(follow(claims, rule.path));
}

// Own properties only: the claim "constructor" is one that the token has, or none.
function follow(claims: Claims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** A name that can stand in a record and be compared: not empty, not long, no control characters, no half characters. */
function nameFrom(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > longestName) return undefined;
  return value.isWellFormed() && !/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(value) ? value : undefined;
}

function holdsAny(value: unknown, wanted: ReadonlySet<string>): boolean {
  if (typeof value === 'string') return wanted.has(value);
  return Array.isArray(value) && value.slice(0, mostValues).some((item) => typeof item === 'string' && wanted.has(item));
}

/** `scope` as one text (RFC 8693 section 4.2), `scp` as text or list, as some issuers have it. */
function grantedScopes(claims: Claims): readonly string[] {
  const found = ['scope', 'scp'].flatMap((name) => {
    const value = follow(claims, [name]);
    if (typeof value === 'string') return value.slice(0, 16_384).split(' ');
    return Array.isArray(value) ? value.slice(0, mostValues).filter((item) => typeof item === 'string') : [];
  });
  return Array.from(new Set(found));
}

function reachOf(rules: ClaimRules['scopes'], granted: readonly string[]): Reach {
  if (rules === undefined) return 'all';
  const toolboxes = new Set<string>();
  const namespaces = new Set<string>();
  for (const name of granted) {
    const reach = rules.get(name);
    if (reach === 'all') return 'all';
    for (const toolbox of reach?.toolboxes ?? []) toolboxes.add(toolbox);
    for (const namespace of reach?.namespaces ?? []) namespaces.add(namespace);
  }
  return { toolboxes, namespaces };
}
