export type SealingPurpose = 'session' | 'request-state' | 'pepper' | 'journal' | 'credential' | 'reply';

/** One random 32-byte key per purpose, the same for every replica that opens this store. */
export interface SealingKeyStore {
  /** Returns the key of this purpose, made once; two replicas that start at once get the same one. */
  get(purpose: SealingPurpose): Promise<Buffer>;
}
