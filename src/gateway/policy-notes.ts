/** What of the policies in effect holds nothing, wherever they stand: nobody is answered where a file is written. */
import { knownToOperator } from '../admin/known-names.ts';
import { membersIn, type Nameable, warningsOf } from '../admin/policy-warnings.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { LiveCatalog } from '../catalog/live-catalog.ts';
import type { PolicyScope } from '../policy/policy.ts';
import { composePolicies, scopeId } from '../registry/compose.ts';
import type { LiveConfiguration } from '../registry/live-configuration.ts';
import type { Registry } from '../registry/registry.ts';

export interface PolicyNote {
  /** `global`, `namespace:hr`, `capability:hr/find_person`. */
  readonly scope: string;
  /** Where it stands; undefined for what is registered. */
  readonly file: string | undefined;
  readonly message: string;
}

interface NotePorts {
  readonly live: Pick<LiveCatalog, 'current'>;
  readonly configuration: Pick<LiveConfiguration, 'files'>;
  readonly registry: Registry;
}

/** Looks again only where what is there, or what policies say, is something else by now. */
export function openPolicyNotes({ live, configuration, registry }: NotePorts): () => readonly PolicyNote[] {
  let seen: readonly unknown[] = [];
  let notes: readonly PolicyNote[] = [];
  return () => {
    const now = [live.current, configuration.files, registry.revision];
    if (now.some((part, at) => part !== seen[at])) notes = lookAt(live.current, configuration, registry);
    seen = now;
    return notes;
  };
}

function lookAt(catalog: Catalog, { files }: NotePorts['configuration'], registry: Registry): readonly PolicyNote[] {
  const declared = new Set(files.map(({ policy }) => policy));
  const written = composePolicies(files, registry).filter(({ policy }) => Object.keys(policy).length > 0);
  if (written.length === 0) return [];
  const ports = { catalog: () => catalog, files: () => files, registry };
  const known: Nameable = { ...knownToOperator(ports), members: membersIn(ports), unready: unreadyIn(catalog) };
  const fileOf = (scope: PolicyScope) =>
    scope.kind === 'namespace' ? files.find(({ name }) => name === scope.namespace)?.file : undefined;
  return written.flatMap(({ scope, policy }) =>
    warningsOf(known, scope, policy).map(({ message }) => ({
      scope: scopeId(scope),
      file: declared.has(policy) ? fileOf(scope) : undefined,
      message,
    })),
  );
}

/** Where an upstream is still to say what it offers, or what it offers waits for a review. */
function unreadyIn({ upstreams, held }: Catalog): ReadonlySet<string> {
  const unready = [...upstreams.values()].filter(({ id, upstream }) => upstream.offer().isStale || held.has(id));
  return new Set(unready.map(({ config }) => config.namespace));
}
