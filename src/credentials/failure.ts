import { GatewayError } from '../errors.ts';

/** Gatehouse cannot get credentials for an upstream. `upstreamId` is `namespace/name`; `why` is a sentence without secrets. */
export function credentialsFailed(upstreamId: string, why: string, cause?: unknown): GatewayError {
  const text = `Gatehouse has no credentials for the upstream ${upstreamId}: ${why}`;
  return new GatewayError('credentials_failed', text, cause === undefined ? {} : { cause });
}
