import type { Bearer } from '../upstreams/authorization.ts';
import { secretForms } from '../upstreams/blank-out.ts';

/** A token as requests carry it (RFC 6750 section 2.1), and as no answer may. */
export function makeBearer(principal: string | undefined, token: string): Bearer {
  return { principal, header: `Bearer ${token}`, secrets: secretForms([token]), isAccepted: false };
}

/** Until when a token is used: a little less than it is valid, so that it does not run out on its way. */
export function usableUntil(expiresAtMs: number | undefined, nowMs: number): number {
  if (expiresAtMs === undefined) return Number.POSITIVE_INFINITY;
  return expiresAtMs - Math.min(30_000, (expiresAtMs - nowMs) / 10);
}
