import { isObject } from '../wire/json.ts';
import type { Flaw, Reading, Wanted } from './configuration-format.ts';
import type { Entry } from './examine-upstream.ts';
import { findWrittenSecrets, secretNameFor } from './secret-references.ts';

// What Claude Desktop, Cursor, VS Code and others keep of the servers they start: "mcpServers", or "servers".

/** The servers of a client's file, with the path to them; undefined where it is not such a file. */
export function findClientServers(value: unknown): { readonly path: readonly string[]; readonly servers: object } | undefined {
  if (!isObject(value)) return undefined;
  for (const path of [['mcpServers'], ['servers'], ['mcp', 'servers'], ['mcp', 'mcpServers']]) {
    const found = path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), value);
    if (isObject(found)) return { path, servers: found };
  }
  return undefined;
}

export interface ServersReading extends Reading {
  /** Secrets that have to be set first: what they are called here. */
  readonly secrets: readonly string[];
}

/** The servers as upstreams of one namespace. A secret that is written out becomes a reference, and a flaw that says so. */
export function readClientServers(path: readonly string[], servers: object, namespace: string): ServersReading {
  const wanted: Wanted[] = [{ kind: 'namespace', id: namespace, description: undefined, path }];
  const flaws: Flaw[] = [];
  const secrets = new Set<string>();
  const taken = new Map<string, string>();
  for (const [given, server] of Object.entries(servers)) {
    const at = [...path, given];
    const name = nameFor(given);
    const other = taken.get(name);
    if (!isObject(server)) flaws.push({ path: at, message: 'A server is a map with "url", or "command" and "args".' });
    else if (other !== undefined)
      flaws.push({ path: at, message: `"${given}" and "${other}" would both be called "${name}"; rename one.` });
    else if (server.disabled === true || server.enabled === false)
      flaws.push({ path: at, severity: 'warning', message: 'This server is switched off and is left out.' });
    else {
      taken.set(name, given);
      const entry = withReferences(namespace, name, toEntry(server), at, flaws, secrets);
      wanted.push({ kind: 'upstream', id: `${namespace}/${name}`, namespace, name, entry, path: at });
    }
  }
  return { wanted, flaws, secrets: [...secrets] };
}

function toEntry({ url, serverUrl, httpUrl, headers, command, args, env, cwd }: Readonly<Record<string, unknown>>): Entry {
  const address = url ?? serverUrl ?? httpUrl;
  if (address !== undefined) return { kind: 'mcp', url: address, ...(hasKeys(headers) ? { headers } : {}) };
  const words = [command, ...(Array.isArray(args) ? args : [])];
  return { kind: 'mcp', command: words, ...(hasKeys(env) ? { env } : {}), ...(cwd === undefined ? {} : { cwd }) };
}

function withReferences(
  namespace: string,
  name: string,
  entry: Entry,
  at: readonly PropertyKey[],
  flaws: Flaw[],
  secrets: Set<string>,
): Entry {
  const filled = mapTexts(entry, (text) => withoutPlaceholders(namespace, name, text, secrets));
  let next = filled;
  for (const { path, secret, proposal } of findWrittenSecrets(namespace, name, filled)) {
    secrets.add(secret);
    const [section = '', key] = path;
    const before = next[section];
    next = { ...next, [section]: key === undefined ? proposal : { ...(isObject(before) ? before : {}), [key]: proposal } };
    flaws.push({
      path: [...at, ...path],
      message: `A secret does not belong here in plain text. Set it as the secret ${secret}, and write ${JSON.stringify(proposal)}.`,
    });
  }
  return next;
}

/** `${env:NAME}` and `${input:id}` are how clients leave a secret out. */
function withoutPlaceholders(namespace: string, name: string, text: string, secrets: Set<string>): string {
  return text.replaceAll(/\$\{(env|input):([A-Za-z0-9_.-]{1,100})\}/g, (_whole, kind: string, key: string) => {
    const secret = kind === 'env' ? key.replaceAll(/[^A-Za-z0-9_]/g, '_') : secretNameFor(namespace, name, key);
    secrets.add(secret);
    return `\${secret:${secret}}`;
  });
}

function mapTexts(entry: Entry, map: (text: string) => string): Entry {
  const mapValues = (value: unknown) =>
    isObject(value)
      ? Object.fromEntries(Object.entries(value).map(([key, text]) => [key, typeof text === 'string' ? map(text) : text]))
      : value;
  return Object.fromEntries(
    Object.entries(entry).map(([key, value]) => {
      if (key === 'url' && typeof value === 'string') return [key, map(value)];
      return [key, key === 'headers' || key === 'env' ? mapValues(value) : value];
    }),
  );
}

function nameFor(given: string): string {
  const name = given
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^[-0-9]+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '');
  return name === '' ? 'server' : name;
}

function hasKeys(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length > 0;
}
