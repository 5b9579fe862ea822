import type { Member, UriMap } from './catalog.ts';
import { compileTemplate } from './uri-template.ts';

/** What one member brings to a toolbox's URIs, in its own form. */
export interface UriSource {
  readonly member: Member;
  /** `all`: everything the upstream has, listed or not; otherwise only these. */
  readonly readable: 'all' | ReadonlySet<string>;
  readonly uris: readonly string[];
  readonly templates: readonly string[];
}

const withScheme = /^([A-Za-z][A-Za-z0-9+.-]*):(\/\/)?/;
const mapped = /^([A-Za-z][A-Za-z0-9+.-]*):(\/\/)?(gh|text)\.([a-z][a-z0-9-]*)\.([a-z][a-z0-9-]*)\/(.*)$/s;

/** Templates of one member that are tried on a URI nobody mapped; the rest works in the mapped form only. */
const templatesTried = 100;

/**
 * An upstream's URI or template as clients see it: `ui://x/y` becomes `ui://gh.<namespace>.<upstream>/x/y`, `urn:x` becomes
 * `urn:gh.<namespace>.<upstream>/x`: hosts still see the scheme they look for, and no two upstreams meet. Text without a scheme
 * becomes `gatehouse:text.<namespace>.<upstream>/<text>`.
 */
export function mapUri(namespace: string, upstream: string, uri: string): string {
  const start = withScheme.exec(uri)?.[0];
  if (start === undefined) return `gatehouse:text.${namespace}.${upstream}/${uri}`;
  return `${start}gh.${namespace}.${upstream}/${uri.slice(start.length)}`;
}

/** What `mapUri` made, taken apart; undefined for anything else. */
export function unmapUri(outward: string): { readonly upstream: string; readonly uri: string } | undefined {
  const match = mapped.exec(outward);
  if (match === null) return undefined;
  const [, scheme, slashes = '', marker, namespace, name, rest = ''] = match;
  const upstream = `${namespace}/${name}`;
  if (marker === 'gh') return { upstream, uri: `${scheme}:${slashes}${rest}` };
  return scheme === 'gatehouse' && slashes === '' ? { upstream, uri: rest } : undefined;
}

/** URIs of a toolbox whose upstreams each have their own part of them. */
export function mapUris(sources: readonly UriSource[]): UriMap {
  const byUpstream = new Map(sources.map((source) => [source.member.id, source]));
  let finder: ((uri: string) => UriSource | undefined) | undefined;
  return Object.freeze({
    isIdentity: false,
    toClient: ({ config }: Member, uri: string) => mapUri(config.namespace, config.name, uri),
    toUpstream: (outward: string) => {
      const own = unmapUri(outward);
      if (own !== undefined) return claim(byUpstream.get(own.upstream), own.uri);
      // A URI that an upstream wrote into a text reaches us as it was. Few clients send one, so nothing is prepared for it.
      finder ??= findOwner(sources);
      return claim(finder(outward), outward);
    },
  });
}

/** URIs of a toolbox that shows its only upstream as it is. */
export function keepUris(source: UriSource): UriMap {
  return Object.freeze({
    isIdentity: true,
    toClient: (_member: Member, uri: string) => uri,
    toUpstream: (outward: string) => claim(source, outward),
  });
}

function claim(source: UriSource | undefined, uri: string): { readonly member: Member; readonly uri: string } | undefined {
  if (source === undefined) return undefined;
  return source.readable === 'all' || source.readable.has(uri) ? { member: source.member, uri } : undefined;
}

// An owner is named only when there is no doubt: of two upstreams that claim the same URI neither gets the other's readers.
function findOwner(sources: readonly UriSource[]): (uri: string) => UriSource | undefined {
  const [only] = sources;
  if (sources.length === 1) return () => only;
  const listed = new Map<string, UriSource | 'several'>();
  for (const source of sources) {
    for (const uri of [...source.uris, ...source.templates]) {
      const other = listed.get(uri);
      listed.set(uri, other === undefined || other === source ? source : 'several');
    }
  }
  const matchers = sources.map((source) => ({
    source,
    tests: source.templates.slice(0, templatesTried).flatMap((template) => compileTemplate(template) ?? []),
  }));
  return (uri) => {
    const lister = listed.get(uri);
    if (lister !== undefined) return lister === 'several' ? undefined : lister;
    const owners = matchers.filter(({ tests }) => tests.some((test) => test(uri)));
    return owners.length === 1 ? owners[0]?.source : undefined;
  };
}
