import type { ExpressionBuilder } from 'kysely';
import type { CredentialStore, StoredClient, StoredGrant, StoredSignIn } from '../ports/credentials.ts';
import type { Database, Schema } from '../schema.ts';

export function sqlCredentials(database: Database): CredentialStore {
  return {
    async findGrant(upstream, principal) {
      const db = await database();
      const query = db
        .selectFrom('grants')
        .select(grantColumns)
        .where('upstream', '=', upstream)
        .where('principal', '=', principal);
      return await query.orderBy('updated_at_ms', 'desc').orderBy('issuer').limit(1).executeTakeFirst();
    },

    async listGrants({ upstream, principals, limit }) {
      const db = await database();
      let query = db.selectFrom('grants').select(grantColumns);
      if (upstream !== undefined) query = query.where('upstream', '=', upstream);
      if (principals !== undefined) query = query.where('principal', 'in', principals);
      return await query.orderBy('updated_at_ms', 'desc').orderBy('upstream').orderBy('principal').limit(limit).execute();
    },

    async putGrant(grant) {
      const db = await database();
      const { upstream, principal, issuer, ...changing } = grantRow(grant);
      await db
        .insertInto('grants')
        .values({ upstream, principal, issuer, ...changing })
        .onConflict((conflict) => conflict.columns(['upstream', 'principal', 'issuer']).doUpdateSet(changing))
        .execute();
    },

    async leaseGrant(grant, nowMs, untilMs) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('grants')
        .set({ leased_until_ms: untilMs })
        .where(isVersion(grant))
        .where('leased_until_ms', '<=', nowMs)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async releaseGrant(grant) {
      const db = await database();
      await db.updateTable('grants').set({ leased_until_ms: 0 }).where(isVersion(grant)).execute();
    },

    async replaceGrant(before, next) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('grants')
        .set({ version: next.version, sealed: next.sealed, updated_at_ms: next.updatedAtMs, leased_until_ms: 0 })
        .where(isVersion(before))
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async removeGrant(grant) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('grants').where(isVersion(grant)).executeTakeFirst();
      return numDeletedRows === 1n;
    },

    async removeGrants(upstream, principal) {
      const db = await database();
      const removed = db.deleteFrom('grants').where('upstream', '=', upstream).where('principal', '=', principal);
      return Number((await removed.executeTakeFirst()).numDeletedRows);
    },

    ...clients(database),
    ...signIns(database),
  };
}

function clients(database: Database): Pick<CredentialStore, 'findClient' | 'putClient' | 'removeClient'> {
  async function findClient(issuer: string, redirectUri: string): Promise<StoredClient | undefined> {
    const db = await database();
    return await db
      .selectFrom('oauth_clients')
      .select(['issuer', 'redirect_uri as redirectUri', 'sealed', 'created_at_ms as createdAtMs'])
      .where('issuer', '=', issuer)
      .where('redirect_uri', '=', redirectUri)
      .executeTakeFirst();
  }
  return {
    findClient,

    async putClient({ issuer, redirectUri, sealed, createdAtMs }) {
      const db = await database();
      await db
        .insertInto('oauth_clients')
        .values({ issuer, redirect_uri: redirectUri, sealed, created_at_ms: createdAtMs })
        .onConflict((conflict) => conflict.columns(['issuer', 'redirect_uri']).doNothing())
        .execute();
      // Removed in between: then the one that was given is as good as any.
      return (await findClient(issuer, redirectUri)) ?? { issuer, redirectUri, sealed, createdAtMs };
    },

    async removeClient({ issuer, redirectUri, sealed }) {
      const db = await database();
      await db
        .deleteFrom('oauth_clients')
        .where('issuer', '=', issuer)
        .where('redirect_uri', '=', redirectUri)
        .where('sealed', '=', sealed)
        .execute();
    },
  };
}

function signIns(
  database: Database,
): Pick<CredentialStore, 'putSignIn' | 'findSignIn' | 'replaceSignIn' | 'takeSignIn' | 'pruneSignIns'> {
  return {
    async putSignIn({ id, sealed, expiresAtMs }: StoredSignIn) {
      const db = await database();
      await db.insertInto('sign_ins').values({ id, sealed, expires_at_ms: expiresAtMs }).execute();
    },

    async findSignIn(id) {
      const db = await database();
      return await db
        .selectFrom('sign_ins')
        .select(['id', 'sealed', 'expires_at_ms as expiresAtMs'])
        .where('id', '=', id)
        .executeTakeFirst();
    },

    async replaceSignIn({ id, sealed, expiresAtMs }) {
      const db = await database();
      const { numUpdatedRows } = await db
        .updateTable('sign_ins')
        .set({ sealed, expires_at_ms: expiresAtMs })
        .where('id', '=', id)
        .executeTakeFirst();
      return numUpdatedRows === 1n;
    },

    async takeSignIn(id) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('sign_ins').where('id', '=', id).executeTakeFirst();
      return numDeletedRows === 1n;
    },

    async pruneSignIns(beforeMs) {
      const db = await database();
      const { numDeletedRows } = await db.deleteFrom('sign_ins').where('expires_at_ms', '<', beforeMs).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}

const grantColumns = ['upstream', 'principal', 'issuer', 'version', 'sealed', 'updated_at_ms as updatedAtMs'] as const;

function grantRow(grant: StoredGrant): Schema['grants'] {
  const { upstream, principal, issuer, version, sealed, updatedAtMs } = grant;
  return { upstream, principal, issuer, version, sealed, updated_at_ms: updatedAtMs, leased_until_ms: 0 };
}

function isVersion({ upstream, principal, issuer, version }: StoredGrant) {
  return (row: ExpressionBuilder<Schema, 'grants'>) => row.and({ upstream, principal, issuer, version });
}
