import type { ModelTransport, UpstreamConfig } from '../catalog/config.ts';
import type { ReviewRules } from '../registry/documents.ts';
import { secretNames } from '../secrets.ts';

/** Where an upstream is and who is behind it, as far as its entry says so. Nothing that the upstream says of itself is in it. */
export interface Source {
  readonly kind: 'address' | 'command';
  /** With its port where it has one of its own; undefined for commands. */
  readonly host: string | undefined;
  readonly command: readonly string[] | undefined;
  /** Scope of the npm package that a command runs, with its @; undefined where the command does not plainly say. */
  readonly publisher: string | undefined;
  /** Whether a command names the exact version it runs. */
  readonly isVersionExact: boolean;
  /** Nobody is in between who could read or change what is said: https, or this machine itself. */
  readonly isEncrypted: boolean;
  readonly authorization: 'none' | 'headers' | 'client-credentials' | 'user';
  /** Secrets that it is given, by name. */
  readonly secrets: readonly string[];
}

export function sourceOf({ transport }: Pick<UpstreamConfig, 'transport'>): Source {
  const secrets = [...new Set(secretNames(JSON.stringify(transport)))].sort();
  if (transport.type === 'stdio') {
    const { command } = transport;
    const [, scope, version] = readPackage(command) ?? [];
    const isVersionExact = version !== undefined && /^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version);
    const authorization = secrets.length > 0 ? 'headers' : 'none';
    return {
      kind: 'command',
      host: undefined,
      command,
      publisher: scope,
      isVersionExact,
      isEncrypted: true,
      authorization,
      secrets,
    };
  }
  if (transport.type === 'model') return sourceOfModel(transport, secrets);
  const { headers, auth } = transport;
  const url = transport.type === 'openapi' ? (transport.baseUrl ?? '') : transport.url;
  const read = URL.parse(url.replaceAll(/\$\{secret:[^}]*\}/g, 'secret'));
  return {
    kind: 'address',
    host: read?.host.toLowerCase(),
    command: undefined,
    publisher: undefined,
    isVersionExact: true,
    isEncrypted: isEncrypted(read),
    authorization: auth?.kind ?? (Object.keys(headers).length > 0 || secrets.length > 0 ? 'headers' : 'none'),
    secrets,
  };
}

/** Several targets are one source only where they have one address. */
function sourceOfModel({ targets }: ModelTransport, secrets: readonly string[]): Source {
  const addresses = targets.map(({ url }) => (url === undefined ? undefined : URL.parse(url)));
  const hosts = new Set(addresses.map((address) => address?.host.toLowerCase()));
  return {
    kind: 'address',
    host: hosts.size === 1 ? [...hosts][0] : undefined,
    command: undefined,
    publisher: undefined,
    isVersionExact: true,
    // A provider's own address, which nobody wrote, is one.
    isEncrypted: addresses.every((address) => address === undefined || isEncrypted(address)),
    authorization: secrets.length > 0 ? 'headers' : 'none',
    secrets,
  };
}

function isEncrypted(address: URL | null): boolean {
  return address?.protocol === 'https:' || /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(address?.hostname ?? '');
}

// Read strictly: a flag could name another package than the one that seems to be run.
function readPackage([program = '', ...words]: readonly string[]): readonly (string | undefined)[] | undefined {
  if (!/^(?:npx|bunx)$/.test(program)) return undefined;
  const first = words.find((word) => word !== '-y' && word !== '--yes');
  return /^(@[a-z0-9][a-z0-9._-]{0,99})\/[a-z0-9][a-z0-9._-]{0,99}(?:@([\w.-]{1,60}))?$/.exec(first ?? '') ?? undefined;
}

/** Whether a host fits one of these patterns: `api.example.com`, `*.example.com`, either with `:port`. */
export function fitsHost(host: string | undefined, patterns: readonly string[] = []): boolean {
  return (
    host !== undefined &&
    patterns.some((pattern) => (pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern))
  );
}

/** Whether a source is one's own. Whatever the rules do not name is somebody else's. */
export function isInternal({ kind, host, publisher, isEncrypted }: Source, { internal = {} }: ReviewRules): boolean {
  if (kind === 'command') return publisher !== undefined && (internal.publishers ?? []).includes(publisher);
  // Without encryption whoever is in between answers in the host's name.
  return isEncrypted && fitsHost(host, internal.origins);
}
