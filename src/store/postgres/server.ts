import { types } from 'pg';
import { GatewayError } from '../../errors.ts';
import { schemaName } from './migrate.ts';

/** bigint comes as text by default; ours are milliseconds and revisions, far below 2^53. */
export const numbersForBigints = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format),
};

/** The server as messages may call it: without the password. */
export function describeUrl(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `PostgreSQL at ${host || 'the local socket'}${pathname}`;
  } catch {
    throw new GatewayError(
      'bad_configuration',
      'GATEHOUSE_DATABASE_URL is not an address; write postgres://user:password@host:5432/database.',
    );
  }
}

/** Codes: postgresql.org/docs/current/errcodes-appendix.html, and those of Node's sockets. */
export function explainPostgres(error: unknown, name: string): unknown {
  if (error instanceof GatewayError) return error;
  const code = String((error as { code?: unknown }).code ?? '');
  const sentence = /^28|^3D/.test(code)
    ? 'refused this user, password or database. Check GATEHOUSE_DATABASE_URL.'
    : code === '42501'
      ? `does not let this user create its tables: grant CREATE on the database, or make the schema "${schemaName}" for it.`
      : 'cannot be used. Check GATEHOUSE_DATABASE_URL and that the server runs.';
  return new GatewayError('bad_configuration', `${name} ${sentence} (${(error as Error).message || code})`, { cause: error });
}
