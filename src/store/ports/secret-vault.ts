import type { Secret } from '../../secret.ts';

/** Where a secret belongs; what was sealed for one place opens for no other. */
export interface SecretPlace {
  readonly kind: string;
  readonly id: string;
}

/**
 * Seals values to be kept anywhere: each under a random data key of its own, which the store keeps wrapped by the master key.
 * A change of the master key touches the data keys only, never what was sealed.
 */
export interface SecretVault {
  /** The data key is on disk before it resolves. At most 32 KiB of UTF-8. */
  seal(place: SecretPlace, value: Secret): Promise<string>;
  /** Throws GatewayError `internal` for what was not sealed here for this place, or was forgotten. */
  open(place: SecretPlace, sealed: string): Promise<Secret>;
  /** Makes this sealed value unreadable for good, wherever copies of it lie, backups excepted. */
  forget(sealed: string): Promise<void>;
}
