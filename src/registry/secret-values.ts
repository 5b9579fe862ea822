import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { resolveSecrets } from '../secrets.ts';
import type { SecretVault } from '../store/ports/secret-vault.ts';
import type { Registry } from './registry.ts';

interface SecretPorts {
  readonly registry: Registry;
  readonly vault: SecretVault;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Files, one secret each; may be missing. */
  readonly directory: string;
  readonly log: Logger;
}

const name = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What `${secret:NAME}` stands for: what was set at run time, then a file of that name, then the environment. */
export class SecretValues {
  readonly #ports: SecretPorts;
  readonly #opened = new Map<string, { readonly sealed: string; readonly value: string }>();

  constructor(ports: SecretPorts) {
    this.#ports = ports;
  }

  /** Opens what was set or changed since the last time. Run before anything that may refer to it. */
  async refresh(): Promise<void> {
    const { registry, vault, log } = this.#ports;
    const set = registry.list('secret');
    const names = new Set(set.map(({ id }) => id));
    for (const id of this.#opened.keys()) if (!names.has(id)) this.#opened.delete(id);
    for (const { id, body } of set) {
      if (this.#opened.get(id)?.sealed === body.sealed) continue;
      try {
        const value = (await vault.open({ kind: 'secret', id }, body.sealed)).reveal();
        this.#opened.set(id, { sealed: body.sealed, value });
      } catch (error) {
        this.#opened.delete(id);
        log.error({ err: error, secret: id }, 'a secret cannot be opened; set it again');
      }
    }
  }

  /** Throws GatewayError `bad_configuration` with every name that stands for nothing. The result must not be logged. */
  resolve(text: string): string {
    return resolveSecrets(text, this.#values());
  }

  /** Those of these names that stand for nothing now. */
  missing(names: readonly string[]): readonly string[] {
    if (names.length === 0) return names;
    const values = this.#values();
    return names.filter((name) => !Object.hasOwn(values, name) || (values[name] ?? '') === '');
  }

  /** Where each name comes from; never what it stands for. */
  sources(): ReadonlyMap<string, 'registry' | 'file'> {
    const sources = new Map<string, 'registry' | 'file'>();
    for (const file of this.#files()) sources.set(file, 'file');
    for (const id of this.#opened.keys()) sources.set(id, 'registry');
    return sources;
  }

  #values(): Readonly<Record<string, string | undefined>> {
    const { environment, directory } = this.#ports;
    const files = this.#files().map((file) => [file, readFileSync(join(directory, file), 'utf8').replace(/\r?\n$/, '')] as const);
    const set = Array.from(this.#opened, ([id, { value }]) => [id, value] as const);
    return { ...environment, ...Object.fromEntries([...files, ...set]) };
  }

  #files(): string[] {
    try {
      return readdirSync(this.#ports.directory).filter((file) => name.test(file));
    } catch {
      return [];
    }
  }
}
