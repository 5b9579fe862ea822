export interface RotationProgress {
  /** Keys that are wrapped by the newest master key. */
  readonly done: number;
  readonly total: number;
}

export interface MasterKeys {
  /**
   * Wraps every key that an older master key wraps by the newest one, a few at a time while everything runs, then retires the
   * older ones. Killed at any point, the next call goes on. Returns the version that is current now. Throws GatewayError
   * `bad_configuration` when there is no newer key.
   */
  rotate(onProgress: (progress: RotationProgress) => void): Promise<number>;
}
