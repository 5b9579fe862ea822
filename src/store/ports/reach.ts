/** Whether a server that is shared with other replicas can be reached. */
export interface ReachStatus {
  readonly kind: 'postgresql' | 'redis';
  readonly isReachable: boolean;
  /** When that changed last; undefined where it never did. */
  readonly sinceMs: number | undefined;
  /** Why it cannot be reached. */
  readonly lastError: string | undefined;
}
