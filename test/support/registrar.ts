import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { KeyRing, makeKey } from '../../src/call/authenticate/key-ring.ts';
import { systemClock } from '../../src/clock.ts';
import type { Policy } from '../../src/policy/policy-schema.ts';
import type { DocumentKind, Documents, KeyDocument } from '../../src/registry/documents.ts';
import { type Edit, Registry } from '../../src/registry/registry.ts';
import { Secret } from '../../src/secret.ts';
import { openStore } from '../../src/store/open-store.ts';

/** Where a gateway keeps what is registered. */
export interface Place {
  readonly dataDir: string;
  readonly databaseUrl?: string | undefined;
  readonly masterKey: string;
}

/** Registers what operators register, from a process of its own: running gateways take it up by themselves. */
export interface Registrar {
  readonly registry: Registry;
  put<Kind extends DocumentKind>(kind: Kind, id: string, body: Documents[Kind]): Promise<void>;
  remove(kind: DocumentKind, id: string): Promise<void>;
  /** A new key, or a second secret of one: the old one is good for `graceMs` more. Returns the key itself. */
  key(id: string, rights?: Partial<KeyDocument>, graceMs?: number): Promise<string>;
  changeKey(id: string, changes: Partial<KeyDocument>): Promise<void>;
  consumer(id: string, body?: Partial<Documents['consumer']>): Promise<void>;
  /** `global`, `namespace:hr` or `capability:hr/find`. */
  policy(scope: string, policy: Policy): Promise<void>;
  secret(name: string, value: string): Promise<void>;
  close(): Promise<void>;
}

export const newMasterKey = (): string => randomBytes(32).toString('base64');

/** The environment of a gateway at this place. */
export function placeSettings({ dataDir, databaseUrl, masterKey }: Place): Record<string, string> {
  return {
    GATEHOUSE_DATA: dataDir,
    GATEHOUSE_MASTER_KEY: masterKey,
    ...(databaseUrl === undefined ? {} : { GATEHOUSE_DATABASE_URL: databaseUrl }),
  };
}

const record = { actor: 'key:admin', action: 'test' };

export async function openRegistrar({ dataDir, databaseUrl, masterKey }: Place): Promise<Registrar> {
  const log = pino({ level: 'silent' });
  const store = await openStore({
    dataDir,
    databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
    masterKey: new Secret(masterKey),
    clock: systemClock,
    log,
  });
  const registry = await Registry.open(store.registry, log);
  const ring = new KeyRing(await store.sealing.get('pepper'), systemClock);
  const commit = (edit: Edit) => registry.commit([edit], record);
  const put: Registrar['put'] = (kind, id, body) => commit({ kind, id, body } as unknown as Edit);
  return {
    registry,
    put,
    remove: (kind, id) => commit({ kind, id, body: undefined }),
    async key(id, rights = {}, graceMs = 0) {
      const key = makeKey(id);
      const nowMs = Date.now();
      const known = registry.get('key', id)?.body;
      const secret = { hash: ring.hash(key), hint: key.slice(-4), createdAtMs: nowMs };
      const older = known?.secrets.at(0);
      const body: KeyDocument = {
        title: id,
        scope: {},
        state: 'active',
        issuedBy: 'key:admin',
        createdAtMs: nowMs,
        ...known,
        ...rights,
        secrets: older === undefined ? [secret] : [secret, { ...older, validUntilMs: nowMs + graceMs }],
      };
      await put('key', id, body);
      return key;
    },
    async changeKey(id, changes) {
      await put('key', id, { ...registry.require('key', id).body, ...changes });
    },
    consumer: (id, body = {}) => put('consumer', id, { title: id, kind: 'application', isDisabled: false, ...body }),
    policy: (scope, policy) => put('policy', scope, { policy }),
    async secret(name, value) {
      const sealed = await store.vault.seal({ kind: 'secret', id: name }, new Secret(value));
      await put('secret', name, { sealed, changedAtMs: Date.now(), changedBy: 'key:admin' });
    },
    async close() {
      registry.close();
      await store.close();
    },
  };
}
