/** Budgets that outlive the process. Loss of the last moments before a crash is tolerable. */
export interface BudgetRows {
  load(): Promise<readonly StoredBudget[]>;
  /** Each key once. Within one window the larger number stays, and an older window does not come back. */
  save(batch: readonly StoredBudget[]): Promise<void>;
  /** Removes budgets whose window ended before this time. Returns how many. */
  prune(beforeMs: number): Promise<number>;
}

export interface StoredBudget {
  readonly key: string;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  /** In the limit's units. */
  readonly spent: number;
}
