import type { CredentialStore, StoredClient, StoredGrant, StoredSignIn } from '../ports/credentials.ts';

/** The twin of sql/credentials.ts that forgets with the process. */
export function memoryCredentials(): CredentialStore {
  const grants = new Map<string, StoredGrant & { readonly leasedUntilMs: number }>();
  const clients = new Map<string, StoredClient>();
  const signIns = new Map<string, StoredSignIn>();

  function newest(isWanted: (grant: StoredGrant) => boolean): StoredGrant | undefined {
    const found = [...grants.values()]
      .filter(isWanted)
      .sort((a, b) => b.updatedAtMs - a.updatedAtMs || (a.issuer < b.issuer ? -1 : 1));
    return found[0] && plain(found[0]);
  }
  /** The row of this grant, if it still is of this version. */
  function same(grant: StoredGrant) {
    const held = grants.get(keyOf(grant));
    return held?.version === grant.version ? held : undefined;
  }

  return {
    findGrant: async (upstream, principal) => newest((grant) => grant.upstream === upstream && grant.principal === principal),
    async listGrants({ upstream, principals, limit }) {
      const isWanted = (grant: StoredGrant) =>
        (upstream === undefined || grant.upstream === upstream) && (principals?.includes(grant.principal) ?? true);
      const found = [...grants.values()].filter(isWanted).sort((a, b) => b.updatedAtMs - a.updatedAtMs);
      return found.slice(0, limit).map(plain);
    },
    async putGrant(grant) {
      grants.set(keyOf(grant), { ...grant, leasedUntilMs: 0 });
    },
    async leaseGrant(grant, nowMs, untilMs) {
      const held = same(grant);
      if (held === undefined || held.leasedUntilMs > nowMs) return false;
      grants.set(keyOf(grant), { ...held, leasedUntilMs: untilMs });
      return true;
    },
    async releaseGrant(grant) {
      const held = same(grant);
      if (held !== undefined) grants.set(keyOf(grant), { ...held, leasedUntilMs: 0 });
    },
    async replaceGrant(before, next) {
      if (same(before) === undefined) return false;
      grants.set(keyOf(before), { ...next, leasedUntilMs: 0 });
      return true;
    },
    removeGrant: async (grant) => same(grant) !== undefined && grants.delete(keyOf(grant)),
    async removeGrants(upstream, principal) {
      const wanted = [...grants.values()].filter((grant) => grant.upstream === upstream && grant.principal === principal);
      for (const grant of wanted) grants.delete(keyOf(grant));
      return wanted.length;
    },
    findClient: async (issuer, redirectUri) => clients.get(JSON.stringify([issuer, redirectUri])),
    async putClient(client) {
      const key = JSON.stringify([client.issuer, client.redirectUri]);
      const kept = clients.get(key) ?? client;
      clients.set(key, kept);
      return kept;
    },
    async removeClient(client) {
      const key = JSON.stringify([client.issuer, client.redirectUri]);
      if (clients.get(key)?.sealed === client.sealed) clients.delete(key);
    },
    async putSignIn(signIn) {
      signIns.set(signIn.id, signIn);
    },
    findSignIn: async (id) => signIns.get(id),
    async replaceSignIn(signIn) {
      if (!signIns.has(signIn.id)) return false;
      signIns.set(signIn.id, signIn);
      return true;
    },
    takeSignIn: async (id) => signIns.delete(id),
    async pruneSignIns(beforeMs) {
      const old = [...signIns.values()].filter(({ expiresAtMs }) => expiresAtMs < beforeMs);
      for (const { id } of old) signIns.delete(id);
      return old.length;
    },
  };
}

function keyOf({ upstream, principal, issuer }: StoredGrant): string {
  return JSON.stringify([upstream, principal, issuer]);
}

function plain({ upstream, principal, issuer, version, sealed, updatedAtMs }: StoredGrant): StoredGrant {
  return { upstream, principal, issuer, version, sealed, updatedAtMs };
}
