import { GatewayError } from '../../../errors.ts';
import type { ProviderTarget } from '../provider.ts';

/** The target's key, fit for a header. Throws GatewayError `credentials_failed`. */
export function keyOf(target: ProviderTarget): string {
  const { credential } = target;
  if (credential?.kind !== 'key') throw noCredential(target, 'has no key');
  const key = credential.key.reveal().trim();
  // Anything else would be refused by our own HTTP client, which then quotes it.
  if (!/^[\x21-\x7e]+$/.test(key)) throw noCredential(target, 'has a key with characters that no header may hold');
  return key;
}

export function noCredential(target: ProviderTarget, why: string, cause?: unknown): GatewayError {
  const text = `Gatehouse has no credentials for the ${target.provider} model ${target.model.slice(0, 200)}: its target ${why}. The operator can set it in the namespace file.`;
  return new GatewayError('credentials_failed', text, cause === undefined ? {} : { cause });
}
