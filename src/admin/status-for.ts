import type { Caller } from '../call/authenticate.ts';
import { unsaid } from '../catalog/last-failure.ts';
import { hasRole } from './roles.ts';

/** As much of the gateway's state as not everybody may know. */
export interface ShownStatus {
  readonly upstreams: readonly ShownUpstream[];
  readonly toolboxes: readonly { readonly missing: readonly object[] }[];
  readonly policies: readonly object[];
  readonly stores: readonly { readonly lastError: string | undefined }[];
}

interface ShownUpstream {
  /** `namespace/name`. */
  readonly id: string;
  readonly lastError: { readonly atMs: number; readonly message: string } | undefined;
  readonly missing: readonly { readonly subject: string; readonly message: string }[];
  readonly missingSecrets: readonly string[];
}

/** What the setup of an upstream lacks, and what that is called, is for those who administer it. */
export function statusFor(caller: Pick<Caller, 'roles'>, status: ShownStatus): ShownStatus {
  const upstreams = status.upstreams.map((upstream): ShownUpstream => {
    const { id, lastError, missing, missingSecrets } = upstream;
    const isTheirs = hasRole(caller, ['admin'], id.slice(0, id.indexOf('/')));
    if (missingSecrets.length === 0 || isTheirs) return upstream;
    const withoutNames = <Said extends { readonly message: string }>(said: Said): Said =>
      missingSecrets.some((name) => said.message.includes(name)) ? { ...said, message: unsaid } : said;
    return {
      ...upstream,
      lastError: lastError && withoutNames(lastError),
      missing: missing.map(withoutNames),
      missingSecrets: [],
    };
  });
  // Their lines may name what somebody else may not see.
  const isOperated = hasRole(caller, ['auditor']);
  const toolboxes = status.toolboxes.map((toolbox) => (isOperated ? toolbox : { ...toolbox, missing: [] }));
  const stores = status.stores.map((store) =>
    isOperated || store.lastError === undefined ? store : { ...store, lastError: unsaid },
  );
  return { ...status, upstreams, toolboxes, stores, policies: isOperated ? status.policies : [] };
}
