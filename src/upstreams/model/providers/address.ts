import { GatewayError } from '../../../errors.ts';
import type { ModelOperation, ProviderTarget } from '../provider.ts';

/** Where a provider's operations begin: what the target says, or the provider's own address. Throws GatewayError `bad_configuration`. */
export function baseOf(target: ProviderTarget, own: string | undefined): string {
  const text = target.url ?? own;
  if (text === undefined) throw lacking(target, 'has no url; say where its operations begin, e.g. https://host/v1');
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw lacking(target, 'has a url that is no http or https address');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw lacking(target, 'has a url with a user name, a query or a fragment; leave them out: credentials go into key');
  }
  return url.origin + url.pathname.replace(/\/+$/, '');
}

/** The address of an operation below `base`; `path` is encoded already. */
export function under(base: string, path: string, query: Readonly<Record<string, string>> = {}): URL {
  const search = new URLSearchParams(query).toString();
  return new URL(`${base}${path}${search === '' ? '' : `?${search}`}`);
}

export function lacking(target: ProviderTarget, what: string): GatewayError {
  return new GatewayError(
    'bad_configuration',
    `The ${target.provider} target for the model ${target.model.slice(0, 200)} ${what}.`,
  );
}

export function cannot(target: ProviderTarget, operation: ModelOperation): GatewayError {
  if (operation.kind === 'embed') return lacking(target, 'cannot make embeddings; point it at a provider that can');
  return lacking(
    target,
    `does not ${operation.kind === 'count' ? 'count tokens' : 'answer'} in the dialect ${operation.dialect}; take it out of dialects`,
  );
}

/** A model's name, or the last part of it, as one segment of a path. Throws GatewayError `bad_configuration`. */
export function segmentOf(target: ProviderTarget, name: string = target.model): string {
  // These two lead elsewhere even when they are encoded.
  if (name === '.' || name === '..') throw lacking(target, 'has a model that is none; say its name');
  return encodeStrictly(name);
}

/** Everything but the unreserved characters of RFC 3986. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** `v1`, `v1beta`: of Google's APIs. */
export function versionOf(target: ProviderTarget, usual: string): string {
  const { apiVersion = usual } = target;
  if (!/^v\d[a-z0-9]{0,10}$/.test(apiVersion)) throw lacking(target, `has an apiVersion that is none, such as ${usual}`);
  return apiVersion;
}

/** A region or location becomes part of a host name. */
export function regionOf(target: ProviderTarget): string {
  const { region } = target;
  if (region === undefined) throw lacking(target, 'has no location; say which one, e.g. us-east-1');
  if (!/^[a-z0-9]+(?:-[a-z0-9]+){0,5}$/.test(region))
    throw lacking(target, 'has a location that is not the name of one, such as us-east-1');
  return region;
}
