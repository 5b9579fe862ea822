import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import { moved } from '../registry/commit-change.ts';
import type { DocumentKind } from '../registry/documents.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import type { AdminPorts } from './action.ts';

export { commitChange } from '../registry/commit-change.ts';

/** What tells this registration of an upstream's name from an earlier one: kept by every change, made anew where there is none. */
export function registrationOf({ registry }: Pick<AdminPorts, 'registry'>, id: string): { readonly registration?: string } {
  const known = registry.get('upstream', id)?.body;
  if (known === undefined) return { registration: randomBytes(9).toString('base64url') };
  return known.registration === undefined ? {} : { registration: known.registration };
}

/** Throws GatewayError `conflict` where there is one already. */
export function requireNew(registry: Registry, kind: DocumentKind, id: string): void {
  if (registry.get(kind, id) !== undefined) throw taken(kind, id);
}

/** A name that somebody else has; whose it is, is not said. */
export function taken(kind: DocumentKind, id: string): GatewayError {
  return new GatewayError('conflict', `There is already a ${kind} "${id}". Choose another name, or change that one.`);
}

/** Throws GatewayError `conflict` where something is no longer what whoever changes it has looked at. */
export function requireRevision(
  kind: DocumentKind,
  id: string,
  entry: Entry<DocumentKind> | undefined,
  revision: number | undefined,
): void {
  if (revision !== undefined && revision !== (entry?.revision ?? 0)) throw moved(kind, id);
}

/** For actions that replace what somebody has looked at. */
export const revisionField = z
  .int()
  .min(0)
  .optional()
  .describe(
    'The revision you looked at: nothing is changed where it is another by now. 0: there is none yet. Default: whatever is there.',
  );
