import type { ApiCredential } from '../../catalog/config.ts';
import { secretForms } from '../blank-out.ts';
import type { Operation, SecurityScheme } from './conversion.ts';
import { isCredentialHeader } from './header-rules.ts';
import { encode } from './percent.ts';

/** What a request is let in with: made once, added to every request of an operation. */
export interface Entrance {
  /** Name, value, name, value. */
  readonly headers: readonly string[];
  /** `key=value` pairs. */
  readonly query: string;
  readonly cookies: string;
  /** Lower-case names that a caller's argument must not have, by where it would stand. */
  readonly taken: ReadonlySet<string>;
  /** A token comes on top, from whoever keeps them. */
  readonly needsBearer: boolean;
}

/** One scheme's credential, put where the scheme says. */
interface Shown {
  readonly in: 'header' | 'query' | 'cookie' | 'bearer';
  readonly name: string;
  readonly value: string;
}

export interface Wallet {
  /** By scheme; those of schemes that cannot be spoken, or with a value that does not fit, are missing. */
  readonly shown: ReadonlyMap<string, Shown>;
  /** Byte strings that no answer may carry back. */
  readonly secrets: readonly Buffer[];
  /** What is wrong with the configured credentials, one sentence each. */
  readonly problems: readonly { readonly subject: string; readonly message: string }[];
}

/** Puts credentials, secrets filled in, to the schemes of a description. `oauthScheme`: the one whose tokens are fetched. */
export function openWallet(
  schemes: Readonly<Record<string, SecurityScheme>>,
  credentials: Readonly<Record<string, ApiCredential>>,
  oauthScheme: string | undefined,
): Wallet {
  const shown = new Map<string, Shown>();
  const problems: { subject: string; message: string }[] = [];
  const secrets: string[] = [];
  const known = Object.keys(schemes);
  const names = [...Object.keys(credentials), ...(oauthScheme === undefined ? [] : [oauthScheme])];
  for (const name of names) {
    const scheme = Object.hasOwn(schemes, name) ? schemes[name] : undefined;
    const given = Object.hasOwn(credentials, name) ? credentials[name] : undefined;
    if (scheme === undefined) {
      const there = known.length === 0 ? 'it has none' : `it has ${known.slice(0, 10).join(', ')}`;
      problems.push({
        subject: name,
        message: `"auth" names the security scheme "${name}", which the description does not have; ${there}.`,
      });
      continue;
    }
    const result = given === undefined ? showToken(scheme) : show(scheme, given);
    if ('problem' in result)
      problems.push({ subject: name, message: `The credential for "${name}" cannot be used: ${result.problem}` });
    else shown.set(name, result);
    if (given !== undefined) secrets.push(...valuesOf(given));
  }
  return { shown, secrets: secretForms(secrets), problems };
}

function show(scheme: SecurityScheme, given: ApiCredential): Shown | { readonly problem: string } {
  const [value] = valuesOf(given);
  if (scheme.kind === 'other') return { problem: `Gatehouse does not speak ${scheme.what}.` };
  if (scheme.kind === 'basic') {
    if (given.kind !== 'password') return { problem: 'it is of kind basic, so give "username" and "password".' };
    if (given.username.includes(':')) return { problem: 'a user name of HTTP Basic has no colon.' };
    const pair = Buffer.from(`${given.username}:${given.password}`).toString('base64');
    return { in: 'header', name: 'authorization', value: `Basic ${pair}` };
  }
  if (given.kind === 'password' || value === undefined)
    return { problem: 'it takes one key or token, not a user name and a password.' };
  if (!/^[\x21-\x7e]+$/.test(value) && !(scheme.kind === 'apiKey' && scheme.in === 'query'))
    return { problem: 'its value holds something other than plain ASCII without spaces.' };
  if (scheme.kind !== 'apiKey') return { in: 'header', name: 'authorization', value: `Bearer ${value}` };
  if (scheme.in === 'header' && !isCredentialHeader(scheme.name))
    return { problem: `no credential is sent in the header "${scheme.name}".` };
  if (scheme.in === 'cookie' && !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(scheme.name))
    return { problem: `"${scheme.name}" is no name of a cookie.` };
  return { in: scheme.in, name: scheme.name, value };
}

function showToken(scheme: SecurityScheme): Shown | { readonly problem: string } {
  if (scheme.kind === 'oauth2' || scheme.kind === 'openIdConnect' || scheme.kind === 'bearer')
    return { in: 'bearer', name: 'authorization', value: '' };
  return { problem: 'it does not take tokens, so it cannot be had by OAuth.' };
}

/** What of it is secret. */
function valuesOf(given: ApiCredential): readonly string[] {
  if (given.kind === 'value') return [given.value];
  return [given.password, Buffer.from(`${given.username}:${given.password}`).toString('base64')];
}

/** An operation can be called with what there is, or lacks these schemes. */
export type Choice = { readonly entrance: Entrance } | { readonly lacks: readonly string[] };

/** The first alternative of an operation for which there is everything; one that needs nothing is the last resort. */
export function chooseEntrance({ security }: Pick<Operation, 'security'>, { shown }: Wallet): Choice {
  if (security.length === 0) return { entrance: nothing };
  const satisfied = security
    .map((alternative) => Object.keys(alternative))
    .filter((names) => names.every((name) => shown.has(name)));
  const best = satisfied.find((names) => names.length > 0) ?? satisfied[0];
  if (best === undefined) return { lacks: Object.keys(security[0] ?? {}).filter((name) => !shown.has(name)) };
  return { entrance: enterWith(best.flatMap((name) => shown.get(name) ?? [])) };
}

const nothing: Entrance = { headers: [], query: '', cookies: '', taken: new Set(), needsBearer: false };

function enterWith(all: readonly Shown[]): Entrance {
  const of = (place: Shown['in']) => all.filter((one) => one.in === place);
  const needsBearer = of('bearer').length > 0;
  return {
    headers: of('header').flatMap(({ name, value }) => [name, value]),
    query: of('query')
      .map(({ name, value }) => `${encode(name)}=${encode(value)}`)
      .join('&'),
    cookies: of('cookie')
      .map(({ name, value }) => `${name}=${encode(value)}`)
      .join('; '),
    taken: new Set(all.map(({ in: place, name }) => `${place === 'bearer' ? 'header' : place} ${name.toLowerCase()}`)),
    needsBearer,
  };
}
