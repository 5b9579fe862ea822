import { GatewayError } from '../../errors.ts';
import { firstTables } from './0001-first-tables.ts';
import { budgets } from './0002-budgets.ts';
import { auditIndex } from './0003-audit-index.ts';
import { registry } from './0004-registry.ts';
import { rollUps } from './0005-roll-ups.ts';
import { credentials } from './0006-credentials.ts';
import { approvals } from './0007-approvals.ts';
import { reviews } from './0008-reviews.ts';
import { approvalResults } from './0009-approval-results.ts';
import { notices } from './0010-notices.ts';
import { models } from './0011-models.ts';
import { sightings } from './0012-sightings.ts';
import { keyedCalls } from './0013-keyed-calls.ts';
import { approvalHolders } from './0014-approval-holders.ts';
import { auditContentRules } from './0015-audit-content-rules.ts';

/**
 * Every change of the tables, oldest first; a database of version N has seen the first N. Forward only, and each entry stays
 * as it was released. Statements keep to SQL that SQLite and PostgreSQL read alike. While a new release rolls out, replicas
 * of the one before still write to the changed tables, so a change adds; what it replaces goes one release later.
 */
const migrations: readonly (readonly string[])[] = [
  firstTables,
  budgets,
  auditIndex,
  registry,
  rollUps,
  credentials,
  approvals,
  reviews,
  approvalResults,
  notices,
  models,
  sightings,
  keyedCalls,
  approvalHolders,
  auditContentRules,
];

export const newestVersion = migrations.length;

/** What takes a database of this version to the newest one; empty when it is there. Refuses one that a newer release has changed. */
export function pendingStatements(version: number, name: string): readonly string[] {
  if (version > newestVersion) {
    throw new GatewayError(
      'bad_configuration',
      `${name} was written by a newer Gatehouse (its tables are of version ${version}, this release knows ${newestVersion}). ` +
        'Nothing was changed. Start the newer release, or restore a backup made before it.',
    );
  }
  return migrations.slice(version).flat();
}

/** What takes a database of one version to another one that this release knows. */
export function statementsBetween(version: number, laterVersion: number): readonly string[] {
  return migrations.slice(version, laterVersion).flat();
}
