/**
 * When somebody was last handed something, for gates that hold what they do after it: a key says who and what. One clock counts for
 * all who share the rows, where the place has one.
 */
export interface SightingRows {
  /** Each key once. Never moves a time back. Every process sees it before it resolves. */
  note(batch: readonly Sighting[]): Promise<void>;
  /** How long ago each was, ms, in the order of the keys, which are each there once; undefined for never. */
  agesMs(keys: readonly string[]): Promise<readonly (number | undefined)[]>;
  /** Removes what was seen longer ago. Returns how many; 0 where the place itself removes what is old. */
  prune(olderThanMs: number): Promise<number>;
}

interface Sighting {
  readonly key: string;
  /** Below 0: it counts as now for so much longer. */
  readonly agoMs: number;
}

/** The same as the path of a call asks it. */
export interface Sightings {
  /** Undefined where they were noted a moment ago. Rejects where they cannot be. */
  note(keys: readonly string[]): Promise<void> | undefined;
  /** At once where this process knows of each that it was no longer ago than `enoughMs`. Rejects where others cannot be asked. */
  agesMs(keys: readonly string[], enoughMs: number): readonly (number | undefined)[] | Promise<readonly (number | undefined)[]>;
  close(): Promise<void>;
}
