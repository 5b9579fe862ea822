/** What of the policies in effect holds nothing, wherever they stand: nobody is answered where a file is written. */
import { knownToOperator } from '../admin/known-names.ts';
import { type Nameable, nameableBy, type PolicyWarning, routingWarnings, warningsOf } from '../admin/policy-warnings.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { LiveCatalog } from '../catalog/live-catalog.ts';
import type { TrustedIssuer } from '../identity/issuers.ts';
import { composePolicies, scopeId } from '../registry/compose.ts';
import type { LiveConfiguration } from '../registry/live-configuration.ts';
import type { Registry } from '../registry/registry.ts';

export interface PolicyNote {
  /** `global`, `namespace:hr`, `capability:hr/find_person`; `model:labs/fast` for the rules of its routing. */
  readonly scope: string;
  /** Where it stands; undefined for what is registered. */
  readonly file: string | undefined;
  readonly message: string;
}

interface NotePorts {
  readonly live: Pick<LiveCatalog, 'current'>;
  readonly configuration: Pick<LiveConfiguration, 'files'>;
  readonly registry: Registry;
  readonly issuers: readonly TrustedIssuer[];
}

/** Looks again only where what is there, or what policies say, is something else by now. */
export function openPolicyNotes(ports: NotePorts): () => readonly PolicyNote[] {
  const { live, configuration, registry } = ports;
  let seen: readonly unknown[] = [];
  let notes: readonly PolicyNote[] = [];
  return () => {
    const now = [live.current, configuration.files, registry.revision];
    if (now.some((part, at) => part !== seen[at])) notes = lookAt(ports);
    seen = now;
    return notes;
  };
}

function lookAt({ live: { current }, configuration: { files }, registry, issuers }: NotePorts): readonly PolicyNote[] {
  const declared = new Set(files.map(({ policy }) => policy));
  const written = composePolicies(files, registry).filter(({ policy }) => Object.keys(policy).length > 0);
  const routed = [...current.upstreams.values()].flatMap(({ config }) => routingOf(config));
  if (written.length === 0 && routed.length === 0) return [];
  const ports = { catalog: () => current, files: () => files, registry, issuers };
  const known: Nameable = { ...nameableBy(ports, knownToOperator(ports)), unready: unreadyIn(current) };
  const fileOf = (namespace: string) => files.find(({ name }) => name === namespace)?.file;
  return [
    ...written.flatMap(({ scope, policy }) => {
      const isOfFile = declared.has(policy) && scope.kind === 'namespace';
      return notesOf(scopeId(scope), isOfFile ? fileOf(scope.namespace) : undefined, warningsOf(known, scope, policy));
    }),
    ...routed.flatMap(({ id, namespace, rules }) => {
      const isOfFile = registry.get('upstream', id) === undefined;
      return notesOf(`model:${id}`, isOfFile ? fileOf(namespace) : undefined, routingWarnings(known, id, rules));
    }),
  ];
}

function routingOf({ id, namespace, transport }: UpstreamConfig) {
  const rules = transport.type === 'model' ? transport.routing.rules : [];
  return rules.length === 0 ? [] : [{ id, namespace, rules }];
}

function notesOf(scope: string, file: string | undefined, warnings: readonly PolicyWarning[]): readonly PolicyNote[] {
  return warnings.map(({ message }) => ({ scope, file, message }));
}

/** Where an upstream is still to say what it offers, or what it offers waits for a review. */
function unreadyIn({ upstreams, held }: Catalog): ReadonlySet<string> {
  const unready = [...upstreams.values()].filter(({ id, upstream }) => upstream.offer().isStale || held.has(id));
  return new Set(unready.map(({ config }) => config.namespace));
}
