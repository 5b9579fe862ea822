import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { actions } from '../../src/admin/actions.ts';
import { KeyRing, makeKey } from '../../src/call/authenticate/key-ring.ts';
import { systemClock } from '../../src/clock.ts';
import type { RoleGrant, Scope } from '../../src/registry/documents.ts';
import { type Edit, Registry } from '../../src/registry/registry.ts';
import { openStore } from '../../src/store/open-store.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';

/** What an action answered over REST. */
export interface Acted {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they expect there
  readonly body: any;
}

/** Does what the action of this name does, as the holder of a key. */
export async function act({ url, key }: { url: string; key: string }, name: string, args: object = {}): Promise<Acted> {
  const action = actions.find((candidate) => candidate.name === name);
  if (action === undefined) throw new Error(`there is no action ${name}`);
  const rest: Record<string, unknown> = { ...args };
  const [method = '', route = ''] = action.route.split(' ');
  let path = route.replaceAll(/\{(\w+)\}/g, (_whole, part: string) => {
    const value = String(rest[part]);
    delete rest[part];
    return encodeURIComponent(value);
  });
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  if (method === 'GET') path += `?${new URLSearchParams(rest as Record<string, string>)}`;
  const body = method === 'GET' ? {} : { body: JSON.stringify(rest) };
  const response = await fetch(`${url}/api${path}`, { method, headers, ...body });
  return { status: response.status, body: await response.json() };
}

/** A member with one key. */
export interface Person {
  readonly id: string;
  readonly roles: readonly RoleGrant[];
  readonly scope?: Scope;
}

export interface Administered extends Gateway {
  /** Of each person, by id. */
  readonly keyOf: (id: string) => string;
}

/** A gateway that knows people with roles. */
export async function startAdministered(
  namespaces: readonly string[],
  people: readonly Person[],
  settings: Readonly<Record<string, string>> = {},
  options: { readonly isHealthy?: boolean } = {},
): Promise<Administered> {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-admin-'));
  const keys = await seed(dataDir, people);
  const gateway = await startGateway(namespaces, { GATEHOUSE_DATA: dataDir, ...settings }, options);
  return {
    ...gateway,
    keyOf: (id) => keys.get(id) ?? '',
    stop: async () => {
      await gateway.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function seed(dataDir: string, people: readonly Person[]): Promise<ReadonlyMap<string, string>> {
  const log = pino({ level: 'silent' });
  const store = await openStore({ dataDir, previousMasterKeys: undefined, clock: systemClock, log });
  const registry = await Registry.open(store.registry, log);
  const ring = new KeyRing(await store.sealing.get('pepper'), systemClock);
  const keys = new Map(people.map(({ id }) => [id, makeKey(id)]));
  const edits = people.flatMap(({ id, roles, scope = {} }): Edit[] => [
    { kind: 'member', id, body: { title: id, identities: [], roles: [...roles], isDisabled: false } },
    {
      kind: 'key',
      id,
      body: {
        title: id,
        member: id,
        scope,
        state: 'active',
        secrets: [{ hash: ring.hash(keys.get(id) ?? ''), hint: 'test', createdAtMs: 0 }],
        issuedBy: 'key:admin',
        createdAtMs: 0,
      },
    },
  ]);
  await registry.commit(edits, { actor: 'key:admin', action: 'seed' });
  registry.close();
  await store.close();
  return keys;
}
