import type { Caller } from '../call/authenticate.ts';
import { secretNames } from '../secrets.ts';
import { isObject } from '../wire/json.ts';
import { hasRole } from './action.ts';
import { errorAt, type Finding } from './findings.ts';

/** A secret that stands in an entry as it is, and what to write instead. */
export interface WrittenSecret {
  readonly path: readonly string[];
  /** What to call it. */
  readonly secret: string;
  readonly value: string;
  /** The text with the reference in place of the value. */
  readonly proposal: string;
}

const secretHeader = /^(authorization|cookie|.*(token|secret|api-?key|access-?key|password|credential).*|x-.*-(key|auth))$/i;
const secretVariable =
  /(TOKEN|SECRET|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|PASSWORD|PASSWD|CREDENTIAL|_PAT$|_KEY$|_DSN$|^DATABASE_URL$)/i;
const secretParameter = /^(.*(token|secret|password|api[_-]?key).*|key|auth|sig|signature)$/i;

/** Every value of an entry that its name says is a secret and that is written out. */
export function findWrittenSecrets(
  namespace: string,
  name: string,
  { headers, env, url, targets }: Readonly<Record<string, unknown>>,
): readonly WrittenSecret[] {
  const found: WrittenSecret[] = [];
  // Of a model.
  for (const [at, target] of (Array.isArray(targets) ? targets : []).entries())
    if (isObject(target))
      for (const written of findWrittenSecrets(namespace, name, { headers: target.headers, url: target.url }))
        found.push({ ...written, path: ['targets', String(at), ...written.path] });
  const look = (path: readonly string[], key: string, value: unknown) => {
    if (typeof value !== 'string' || value === '' || secretNames(value).length > 0) return;
    const [, scheme = '', rest = value] = /^(Bearer |Basic |Token |token )?([\s\S]*)$/.exec(value) ?? [];
    const secret = secretNameFor(namespace, name, key);
    found.push({ path, secret, value: rest, proposal: `${scheme}\${secret:${secret}}` });
  };
  for (const [key, value] of entriesOf(headers)) if (secretHeader.test(key)) look(['headers', key], key, value);
  for (const [key, value] of entriesOf(env)) if (secretVariable.test(key)) look(['env', key], key, value);
  const query = typeof url === 'string' ? (URL.parse(url)?.searchParams ?? []) : [];
  for (const [key, value] of query) {
    if (!secretParameter.test(key) || value === '' || secretNames(value).length > 0 || typeof url !== 'string') continue;
    const secret = secretNameFor(namespace, name, key);
    found.push({ path: ['url'], secret, value, proposal: withParameter(url, key, `\${secret:${secret}}`) });
  }
  return found;
}

/** Says how to do it right; never repeats the value. */
export function refuseWrittenSecrets(
  namespace: string,
  name: string,
  entry: Readonly<Record<string, unknown>>,
): readonly Finding[] {
  return findWrittenSecrets(namespace, name, entry).map(({ path, secret, proposal }) =>
    errorAt(
      path,
      `A secret does not belong here in plain text: it would be stored and shown. Set it as the secret ${secret}, and write ${JSON.stringify(proposal)}.`,
    ),
  );
}

/**
 * Whoever administers one namespace may refer to that namespace's secrets: those named `<NAMESPACE>__...`. With any other they could
 * have it sent to an address of their choice.
 */
export function refuseForeignSecrets(
  caller: Caller,
  namespace: string,
  entry: Readonly<Record<string, unknown>>,
): readonly Finding[] {
  if (hasRole(caller, ['admin'])) return [];
  const own = new RegExp(`^${prefixOf(namespace)}[A-Za-z0-9](?!.*__)[A-Za-z0-9_]*$`);
  return [...new Set(secretNames(JSON.stringify(entry)))]
    .filter((name) => !own.test(name))
    .map((name) =>
      errorAt(
        [],
        `\${secret:${name}} is not a secret of the namespace ${namespace}. Its secrets are named ${prefixOf(namespace)}NAME; others are for whoever administers the whole gateway.`,
      ),
    );
}

export function secretNameFor(namespace: string, name: string, key: string): string {
  const word = (text: string) =>
    text
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]+/g, '_')
      .replaceAll(/^_+|_+$/g, '');
  return `${prefixOf(namespace)}${word(name)}_${word(key)}`;
}

function prefixOf(namespace: string): string {
  return `${namespace.toUpperCase().replaceAll('-', '_')}__`;
}

function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return isObject(value) ? Object.entries(value) : [];
}

// Not by URLSearchParams, which would escape the reference.
function withParameter(url: string, key: string, value: string): string {
  const [before = '', query = ''] = url.split('?', 2);
  const parts = query
    .split('&')
    .map((part) => (decode(part.split('=', 1)[0] ?? '') === key ? `${part.split('=', 1)[0]}=${value}` : part));
  return `${before}?${parts.join('&')}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
