import { afterEach, describe, expect, it } from 'vitest';
import type { CredentialStore, StoredGrant } from '../../src/store/ports/credentials.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StorePlace } from './store.contract.ts';

/** What every store promises of credentials towards upstreams. With `isShared`, over two stores on one place. */
export function credentialContract(
  name: string,
  makePlace: () => Promise<StorePlace>,
  { isShared }: { isShared: boolean },
): void {
  describe(`${name} keeps credentials`, () => {
    const stores: Store[] = [];
    const places: StorePlace[] = [];

    /** Two replicas; the same store twice where a place cannot be shared. */
    async function replicas(): Promise<[CredentialStore, CredentialStore]> {
      const place = await makePlace();
      places.push(place);
      const first = await place.open();
      stores.push(first);
      if (!isShared) return [first.credentials, first.credentials];
      const second = await place.open();
      stores.push(second);
      return [first.credentials, second.credentials];
    }

    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
      for (const place of places.splice(0)) await place.remove?.();
    });

    it('finds a grant by upstream and principal, and no other', async () => {
      const [a, b] = await replicas();
      await a.putGrant(grant());
      expect(await b.findGrant('support/crm', 'key:ann')).toEqual(grant());
      expect(await b.findGrant('support/crm', 'key:bob')).toBeUndefined();
      expect(await b.findGrant('support/wiki', 'key:ann')).toBeUndefined();
      expect(await b.listGrants({ upstream: 'support/wiki', limit: 1 })).toEqual([]);
    });

    it('keeps one grant per issuer, and takes the newest', async () => {
      const [a] = await replicas();
      await a.putGrant(grant({ issuer: 'https://old.example', updatedAtMs: 1 }));
      await a.putGrant(grant({ issuer: 'https://new.example', updatedAtMs: 3 }));
      await a.putGrant(grant({ principal: 'key:bob', updatedAtMs: 2 }));
      expect((await a.findGrant('support/crm', 'key:ann'))?.issuer).toBe('https://new.example');
      expect((await a.listGrants({ upstream: 'support/crm', limit: 1 })).map(({ principal }) => principal)).toEqual(['key:ann']);
      const again = grant({ issuer: 'https://old.example', version: 'v9', sealed: 'again', updatedAtMs: 4 });
      await a.putGrant(again);
      expect(await a.findGrant('support/crm', 'key:ann')).toEqual(again);
      expect(await a.removeGrant(again)).toBe(true);
      expect((await a.findGrant('support/crm', 'key:ann'))?.issuer).toBe('https://new.example');
    });

    it("lists grants by upstream and principals, newest first, and removes one person's at one upstream, leased or not", async () => {
      const [a, b] = await replicas();
      const all = [
        grant({ updatedAtMs: 3 }),
        grant({ issuer: 'https://old.example', updatedAtMs: 2 }),
        grant({ principal: 'key:bob', updatedAtMs: 4 }),
        grant({ upstream: 'support/wiki', updatedAtMs: 1 }),
      ];
      for (const one of all) await a.putGrant(one);
      const times = async (query: { upstream?: string; principals?: string[]; limit?: number }) =>
        (await b.listGrants({ limit: 10, ...query })).map(({ updatedAtMs }) => updatedAtMs);
      expect(await times({})).toEqual([4, 3, 2, 1]);
      expect(await times({ limit: 2 })).toEqual([4, 3]);
      expect(await times({ upstream: 'support/crm', principals: ['key:ann', 'key:nobody'] })).toEqual([3, 2]);
      await a.leaseGrant(all[0]!, 1_000, 9_000);
      expect(await b.removeGrants('support/crm', 'key:ann')).toBe(2);
      expect(await a.replaceGrant(all[0]!, grant({ version: 'late' }))).toBe(false);
      expect(await times({})).toEqual([4, 1]);
      expect(await b.removeGrants('support/crm', 'key:ann')).toBe(0);
    });

    it('leases the renewal of a version to one of many, until the time is over', async () => {
      const [a, b] = await replicas();
      await a.putGrant(grant());
      const tries = Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? a : b).leaseGrant(grant(), 1_000, 2_000));
      expect((await Promise.all(tries)).filter(Boolean)).toHaveLength(1);
      expect(await b.leaseGrant(grant(), 1_999, 3_000)).toBe(false);
      expect(await b.leaseGrant(grant(), 2_000, 3_000)).toBe(true);
      await b.releaseGrant(grant());
      expect(await a.leaseGrant(grant(), 1_000, 2_000)).toBe(true);
      expect(await a.leaseGrant(grant({ version: 'other' }), 9_000, 9_999)).toBe(false);
    });

    it('replaces and removes a grant only as it was seen', async () => {
      const [a, b] = await replicas();
      await a.putGrant(grant());
      await a.leaseGrant(grant(), 1_000, 9_000);
      const next = grant({ version: 'v2', sealed: 'next', updatedAtMs: 8 });
      expect(await a.replaceGrant(grant(), next)).toBe(true);
      expect(await b.replaceGrant(grant(), grant({ version: 'v3' }))).toBe(false);
      expect(await b.findGrant('support/crm', 'key:ann')).toEqual(next);
      expect(await b.leaseGrant(next, 1_001, 2_000)).toBe(true);
      expect(await b.removeGrant(grant())).toBe(false);
      expect(await b.removeGrant(next)).toBe(true);
      expect(await a.findGrant('support/crm', 'key:ann')).toBeUndefined();
    });

    it('takes the lease from whoever renews a grant that was replaced by a new sign-in', async () => {
      const [a, b] = await replicas();
      await a.putGrant(grant());
      await a.leaseGrant(grant(), 1_000, 9_000);
      await b.putGrant(grant({ version: 'v2', sealed: 'signed in again' }));
      expect(await a.replaceGrant(grant(), grant({ version: 'v3', sealed: 'late' }))).toBe(false);
      expect((await a.findGrant('support/crm', 'key:ann'))?.sealed).toBe('signed in again');
    });

    it('keeps the first registration of an issuer and redirect URI', async () => {
      const [a, b] = await replicas();
      const client = { issuer: 'https://as.example', redirectUri: 'https://g.example/cb', sealed: 'one', createdAtMs: 5 };
      expect(await a.putClient(client)).toEqual(client);
      expect(await b.putClient({ ...client, sealed: 'two' })).toEqual(client);
      expect(await b.findClient('https://as.example', 'https://other.example/cb')).toBeUndefined();
      await b.removeClient({ ...client, sealed: 'two' });
      expect(await b.findClient(client.issuer, client.redirectUri)).toEqual(client);
      await b.removeClient(client);
      expect(await a.findClient(client.issuer, client.redirectUri)).toBeUndefined();
    });

    it('gives a sign-in away once', async () => {
      const [a, b] = await replicas();
      const signIn = { id: 's', sealed: 'x', expiresAtMs: 1_795_000_000_123 };
      await a.putSignIn(signIn);
      expect(await b.findSignIn('s')).toEqual(signIn);
      expect(await b.replaceSignIn({ ...signIn, sealed: 'y' })).toBe(true);
      expect((await a.findSignIn('s'))?.sealed).toBe('y');
      const taken = await Promise.all(Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? a : b).takeSignIn('s')));
      expect(taken.filter(Boolean)).toHaveLength(1);
      expect(await a.findSignIn('s')).toBeUndefined();
      expect(await a.replaceSignIn(signIn)).toBe(false);
    });

    it('prunes sign-ins that expired before a time, and no others', async () => {
      const [a] = await replicas();
      for (const expiresAtMs of [1, 2, 3]) await a.putSignIn({ id: `s${expiresAtMs}`, sealed: 'x', expiresAtMs });
      expect(await a.pruneSignIns(3)).toBe(2);
      expect(await a.findSignIn('s2')).toBeUndefined();
      expect(await a.findSignIn('s3')).toBeDefined();
    });
  });
}

function grant(changes: Partial<StoredGrant> = {}): StoredGrant {
  return {
    upstream: 'support/crm',
    principal: 'key:ann',
    issuer: 'https://as.example',
    version: 'v1',
    sealed: 'sealed',
    updatedAtMs: 1_795_000_000_123,
    ...changes,
  };
}
