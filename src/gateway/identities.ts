import type { Logger } from 'pino';
import { TokenCallers } from '../call/authenticate/token-callers.ts';
import { type Caller, type Proofs, renewCallers } from '../call/authenticate.ts';
import type { Clock } from '../clock.ts';
import { createTokenVerifier } from '../identity/verify-token.ts';
import type { Settings } from '../settings.ts';
import type { EgressGuard } from '../upstreams/egress.ts';
import { createGuardedFetch } from '../upstreams/guarded-fetch.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';

export interface Identities extends Proofs {
  /** Says of callers what they are by now; undefined for one that is no longer let in. */
  renewing(): (caller: Caller) => Caller | undefined;
  /** Whether who came by this name, `Caller.id`, would still be let in. */
  isLetIn(principal: string): boolean;
}

interface IdentityPorts {
  readonly settings: Settings;
  readonly kept: Pick<Kept, 'keys' | 'registry'>;
  readonly address: OwnAddress;
  readonly egress: EgressGuard;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What callers over HTTP are known by: keys, and tokens where an issuer is trusted. */
export function openIdentities({ settings: { issuers }, kept, address, egress, clock, log }: IdentityPorts): Identities {
  const { keys, registry } = kept;
  const callers = new TokenCallers(registry, issuers);
  const tokens =
    issuers.length === 0
      ? undefined
      : createTokenVerifier({ issuers, publicUrl: address.ownUrl(), fetch: createGuardedFetch(egress), clock, log });
  return {
    keys,
    callers,
    tokens,
    renewing: () => renewCallers({ keys, callers }),
    isLetIn(principal) {
      if (principal.startsWith('key:')) return keys.callerOf(principal.slice('key:'.length)) !== undefined;
      return callers.stillLetIn()({ id: principal, member: undefined, consumer: undefined });
    },
  };
}
