/** A row whose cosine with what was looked for is at least the threshold. */
interface Match<Entry> {
  readonly entry: Entry;
  readonly cosine: number;
}

const rowsPerChunk = 128;
/** Dimensions after which it is asked whether a row can still come to the threshold. */
const blockDimensions = 64;
/** What single precision may have lost on the way. */
const tolerance = 1e-4;
const mostMatches = 8;

interface Chunk {
  readonly rows: Float32Array;
  /** Of each row, the length of what follows each block. */
  readonly tails: Float32Array;
  readonly groups: Uint32Array;
}

/**
 * Vectors of one length in typed arrays, at most `mostRows` of them: the oldest give way. The search is exact: a row is left early
 * only where the rest of it cannot make up for what is missing (Cauchy-Schwarz).
 */
export interface VectorArena<Entry> {
  readonly dimensions: number;
  readonly size: number;
  /** With what the entries weigh. */
  readonly bytes: number;
  /** `group`: 32 bits of what must be equal for a row to be looked at. False for what is no vector: zero, infinite, of another length. */
  add(vector: Float32Array, group: number, entry: Entry): boolean;
  /** It grows no more: from now on the oldest give way. */
  wrap(): void;
  /**
   * The best matches of a group, the best first. In turns: `pause` is awaited between them, so that nothing else waits for long.
   * Undefined for what is no vector.
   */
  search(vector: Float32Array, group: number, threshold: number, pause: () => Promise<void>): Promise<Match<Entry>[] | undefined>;
}

/** Nearly: rows are made room for some at a time. */
export function bytesPerRow(dimensions: number): number {
  return 4 * (dimensions + Math.ceil(dimensions / blockDimensions) + 1);
}

/** `weigh`: bytes that an entry takes beside its row. */
export function vectorArena<Entry>(
  dimensions: number,
  mostRows: number,
  weigh: (entry: Entry) => number = () => 0,
): VectorArena<Entry> {
  const blocks = Math.ceil(dimensions / blockDimensions);
  const chunks: Chunk[] = [];
  const entries: Entry[] = [];
  let next = 0;
  let rowLimit = mostRows;
  let entryBytes = 0;

  function chunkOf(row: number): Chunk {
    const at = Math.floor(row / rowsPerChunk);
    chunks[at] ??= {
      rows: new Float32Array(rowsPerChunk * dimensions),
      tails: new Float32Array(rowsPerChunk * blocks),
      groups: new Uint32Array(rowsPerChunk),
    };
    return chunks[at];
  }

  return {
    dimensions,
    get size() {
      return entries.length;
    },
    get bytes() {
      return chunks.length * rowsPerChunk * bytesPerRow(dimensions) + entryBytes;
    },
    add(vector, group, entry) {
      const unit = normalized(vector, dimensions);
      if (unit === undefined) return false;
      const row = next;
      next = (next + 1) % rowLimit;
      const { rows, tails, groups } = chunkOf(row);
      const at = row % rowsPerChunk;
      rows.set(unit, at * dimensions);
      tails.set(tailLengths(unit, blocks), at * blocks);
      groups[at] = group;
      const before = entries[row];
      entryBytes += weigh(entry) - (before === undefined ? 0 : weigh(before));
      entries[row] = entry;
      return true;
    },
    wrap() {
      rowLimit = Math.max(1, entries.length);
      next %= rowLimit;
    },
    async search(vector, group, threshold, pause) {
      const unit = normalized(vector, dimensions);
      if (unit === undefined) return undefined;
      const query = { unit, tails: tailLengths(unit, blocks), group: group >>> 0, threshold };
      const matches: Match<Entry>[] = [];
      let pauseAtMs = performance.now() + turnMs;
      for (let first = 0; first < entries.length; first += rowsPerChunk) {
        const count = Math.min(rowsPerChunk, entries.length - first);
        searchChunk(chunks[first / rowsPerChunk]!, count, query, (row, cosine) => {
          matches.push({ entry: entries[first + row]!, cosine });
          if (matches.length > mostMatches * 4) keepBest(matches);
        });
        if (performance.now() < pauseAtMs) continue;
        await pause();
        pauseAtMs = performance.now() + turnMs;
      }
      return keepBest(matches);
    },
  };
}

/** Of the event loop at once. */
const turnMs = 2;

interface Query {
  readonly unit: Float32Array;
  readonly tails: Float32Array;
  readonly group: number;
  readonly threshold: number;
}

function searchChunk(chunk: Chunk, count: number, query: Query, found: (row: number, cosine: number) => void): void {
  const { rows, tails, groups } = chunk;
  const { unit, tails: queryTails, group } = query;
  const least = query.threshold - tolerance;
  const dimensions = unit.length;
  const blocks = queryTails.length;
  for (let row = 0; row < count; row++) {
    if (groups[row] !== group) continue;
    const base = row * dimensions;
    let dot = 0;
    let block = 0;
    for (let start = 0; start < dimensions; start += blockDimensions, block++) {
      const end = Math.min(start + blockDimensions, dimensions);
      dot += dotOf(unit, rows, base, start, end);
      if (dot + queryTails[block]! * tails[row * blocks + block]! < least) break;
    }
    if (block === blocks && dot >= query.threshold - 1e-6) found(row, dot);
  }
}

/** In four sums: one alone would wait for itself at every step. */
function dotOf(unit: Float32Array, rows: Float32Array, base: number, start: number, end: number): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = start;
  for (; at + 3 < end; at += 4) {
    a += unit[at]! * rows[base + at]!;
    b += unit[at + 1]! * rows[base + at + 1]!;
    c += unit[at + 2]! * rows[base + at + 2]!;
    d += unit[at + 3]! * rows[base + at + 3]!;
  }
  for (; at < end; at++) a += unit[at]! * rows[base + at]!;
  return a + b + c + d;
}

function keepBest<Entry>(matches: Match<Entry>[]): Match<Entry>[] {
  matches.sort((a, b) => b.cosine - a.cosine);
  matches.length = Math.min(matches.length, mostMatches);
  return matches;
}

function normalized(vector: Float32Array, dimensions: number): Float32Array | undefined {
  if (vector.length !== dimensions) return undefined;
  let squares = 0;
  for (let at = 0; at < dimensions; at++) squares += vector[at]! * vector[at]!;
  const length = Math.sqrt(squares);
  if (!Number.isFinite(length) || length < 1e-12) return undefined;
  return vector.map((value) => value / length);
}

function tailLengths(unit: Float32Array, blocks: number): Float32Array {
  const tails = new Float32Array(blocks);
  let squares = 0;
  for (let block = blocks - 1; block >= 0; block--) {
    tails[block] = Math.sqrt(squares);
    const start = block * blockDimensions;
    for (let at = start; at < Math.min(start + blockDimensions, unit.length); at++) squares += unit[at]! * unit[at]!;
  }
  return tails;
}
