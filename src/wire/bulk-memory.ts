/** What `bulk-scan.ts` and the program in `bulk-program.ts` say to each other: state, tables, then a piece of the message. */

/** What may come next. A value below `keyOrEnd` means that a value may. */
export const expect = { value: 0, valueOrEnd: 1, keyOrEnd: 2, key: 3, colon: 4, commaOrEnd: 5 } as const;

/** V8 takes the hash of a longer string to be its length: many of one length make every table of them a list that is searched from its start. */
export const longKeyBytes = 16_383;

export const state = {
  depth: 0,
  outer: 4,
  next: 8,
  scalar: 12,
  scalarLength: 16,
  lastAt: 20,
  deepest: 24,
  flags: 28,
  start: 32,
} as const;
export const longState = { inString: 64, escaped: 72, hex: 80 } as const;
export const isKeyAt = 36;
export const hadEscapeAt = 40;
export const deepestAllowedAt = 44;
export const longKeysAt = 48;
export const keysAt = 52;
export const commasAt = 56;
export const containersAt = 60;
export const openAt = 256;
export const scalarsAt = 1024;
export const pieceAt = 65_536;
export const pieceBytes = 65_536;
export const flag = { longNumber: 1, uri: 2, tooDeep: 4 } as const;

/** Of the table of numbers and words; the row behind them says which are whole. */
export const scalarStates = 20;
