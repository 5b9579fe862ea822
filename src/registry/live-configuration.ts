import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { NamespaceConfig } from '../catalog/namespace-config.ts';
import { buildPolicies, Policies, type PolicySource } from '../policy/policy.ts';
import type { Problem } from '../problems.ts';
import { secretNames } from '../secrets.ts';
import { type ComposeOptions, composeNamespaces, composePolicies } from './compose.ts';
import type { Registry } from './registry.ts';
import type { SecretValues } from './secret-values.ts';

interface ConfigurationPorts extends ComposeOptions {
  readonly registry: Registry;
  readonly secrets: SecretValues;
  /** What is there besides files and registry: the gateway's own. */
  readonly own: readonly NamespaceConfig[];
  /** Makes the namespaces the running ones. */
  readonly apply: (namespaces: readonly NamespaceConfig[]) => void;
  readonly log: Logger;
  /** How often it is looked whether a secret that is nowhere is there now. Default: 2,000. */
  readonly lookEveryMs?: number | undefined;
}

const usualLookEveryMs = 2_000;

/** Files and registry as one, kept in effect: policies and namespaces change together, one change after the other. */
export class LiveConfiguration {
  readonly #ports: ConfigurationPorts;
  #files: readonly NamespaceConfig[] = [];
  #applied: readonly NamespaceConfig[] | undefined;
  #policies = new Policies([]);
  /** Those that the policies were built from. */
  #sources: readonly PolicySource[] = [];
  #problems: readonly Problem[] = [];
  #isDue = false;
  #refreshing: Promise<void> | undefined;
  /** Secrets that upstreams refer to and that are nowhere. */
  #missing: readonly string[] = [];
  #looking: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #listeners = new Set<() => void>();

  constructor(ports: ConfigurationPorts) {
    this.#ports = ports;
    ports.registry.onChange(() => void this.refresh());
  }

  get policies(): Policies {
    return this.#policies;
  }

  get files(): readonly NamespaceConfig[] {
    return this.#files;
  }

  /** What of the registry could not be used, and why. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Runs whenever other policies are in effect, or may be. */
  onRefreshed(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Takes up what the files say now. They are applied even where they say what is in effect: that ends the problems of a file that was broken. */
  take(files: readonly NamespaceConfig[]): Promise<void> {
    this.#files = files;
    this.#applied = undefined;
    return this.refresh();
  }

  /** Resolves when everything that was known when this was called is in effect. */
  refresh(): Promise<void> {
    this.#isDue = true;
    this.#refreshing ??= this.#run();
    return this.#refreshing;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#looking);
  }

  async #run(): Promise<void> {
    while (this.#isDue) {
      this.#isDue = false;
      try {
        await this.#refresh();
      } catch (error) {
        this.#ports.log.error({ err: error }, 'a change could not be taken up; what was in effect before stays');
      }
    }
    // In the same turn as the last look: what comes between would be taken for done.
    this.#refreshing = undefined;
  }

  async #refresh(): Promise<void> {
    const { registry, secrets, directory, allowedCommands, own, apply } = this.#ports;
    await secrets.refresh();
    const sources = composePolicies(this.#files, registry);
    // What capabilities made of the same policies stays made: a new key changes nothing of it.
    const isSame = isSameSources(this.#sources, sources);
    const policies = isSame ? this.#policies : await buildPolicies(sources);
    const { namespaces, problems } = composeNamespaces(this.#files, registry, { directory, allowedCommands });
    this.#policies = policies;
    this.#sources = sources;
    this.#problems = problems;
    for (const listener of this.#listeners) listener();
    const referred = new Set(namespaces.flatMap(({ upstreams }) => upstreams.flatMap(secretsIn)));
    this.#missing = secrets.missing([...referred]);
    this.#awaitMissing();
    const all = [...namespaces.map((namespace) => withSecrets(namespace, registry, this.#missing)), ...own];
    // A new key is no reason to build a catalog.
    if (this.#applied !== undefined && isDeepStrictEqual(this.#applied, all)) return;
    apply(all);
    this.#applied = all;
  }

  // Files tell nobody that they are there; of what is set at run time the registry tells.
  #awaitMissing(): void {
    clearTimeout(this.#looking);
    if (this.#missing.length === 0 || this.#isClosed) return;
    this.#looking = setTimeout(() => {
      if (this.#ports.secrets.missing(this.#missing).length === this.#missing.length) this.#awaitMissing();
      else void this.refresh();
    }, this.#ports.lookEveryMs ?? usualLookEveryMs).unref();
  }
}

function isSameSources(a: readonly PolicySource[], b: readonly PolicySource[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ scope, policy }, at) => {
    const other = b[at];
    return other !== undefined && policy === other.policy && isDeepStrictEqual(scope, other.scope);
  });
}

function secretsIn({ transport }: UpstreamConfig): readonly string[] {
  return [...new Set(secretNames(JSON.stringify(transport)))];
}

/** So that an upstream whose secret was set anew, or is there at last, is another one. */
function withSecrets(namespace: NamespaceConfig, registry: Registry, missing: readonly string[]): NamespaceConfig {
  const upstreams = namespace.upstreams.map((upstream) => {
    const names = secretsIn(upstream);
    const secretsRevision = Math.max(0, ...names.map((name) => registry.get('secret', name)?.revision ?? 0));
    const missingSecrets = names.filter((name) => missing.includes(name));
    return {
      ...upstream,
      ...(secretsRevision === 0 ? {} : { secretsRevision }),
      ...(missingSecrets.length === 0 ? {} : { missingSecrets }),
    };
  });
  return { ...namespace, upstreams };
}
