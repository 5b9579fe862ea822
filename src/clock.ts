/** The time of day, for what is kept or sealed. Tests pass their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };

/** Time that only ever goes forward and at an even pace, whatever is done to the clock of the machine. Tests pass their own. */
export interface SteadyClock {
  /** Milliseconds since some moment; with fractions. */
  steadyMs(): number;
}

export const systemSteadyClock: SteadyClock = { steadyMs: () => performance.now() };
