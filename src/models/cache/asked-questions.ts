import { randomUUID } from 'node:crypto';
import type { ReplyCache } from '../../store/ports/reply-cache.ts';
import { bytesPerRow, type VectorArena, vectorArena } from './vector-arena.ts';

/** A question that was answered. */
interface Asked {
  readonly text: string;
  /** Digest of everything else in its request. */
  readonly rest: string;
  /** Name of the answer in the reply cache. */
  readonly reply: string;
  readonly atMs: number;
}

interface AlikeQuestion {
  readonly asked: Asked;
  readonly cosine: number;
}

/** Questions of each scope by their vectors, in memory; where the reply cache is shared, those of other processes too. */
export interface AskedQuestions {
  /** Takes up what other processes were asked. Never throws, and waits no longer than the reply cache does, once a second. */
  catchUp(scope: string): Promise<void>;
  /** Those that are as near as the threshold asks, the nearest first. */
  find(scope: string, rest: string, vector: Float32Array, threshold: number): Promise<readonly AlikeQuestion[]>;
  add(scope: string, asked: Asked, vector: Float32Array, ttlMs: number): void;
}

export interface AskedLimits {
  /** Of one scope. */
  readonly rows: number;
  /** Of all scopes together; the one that was used longest ago goes first. */
  readonly bytes: number;
}

const usualAskedLimits: AskedLimits = { rows: 50_000, bytes: 384 * 1024 * 1024 };

interface Scope {
  arena: VectorArena<Asked> | undefined;
  position: string | undefined;
  caughtUpAtMs: number;
}

interface Line extends Asked {
  readonly v: number;
  /** The process it came from. */
  readonly by: string;
  /** Float32, little endian, base64. */
  readonly vector: string;
}

const catchUpEveryMs = 1_000;
const linesAtOnce = 200;
const batchesAtOnce = 50;
const mostScopes = 10_000;
const mostDimensions = 16_384;

export function askedQuestions(cache: ReplyCache, limits: AskedLimits = usualAskedLimits): AskedQuestions {
  const self = randomUUID();
  /** In the order of their last use. */
  const scopes = new Map<string, Scope>();

  function open(name: string): Scope {
    const scope = scopes.get(name) ?? { arena: undefined, position: undefined, caughtUpAtMs: Number.NEGATIVE_INFINITY };
    scopes.delete(name);
    scopes.set(name, scope);
    return scope;
  }

  function put(name: string, asked: Asked, vector: Float32Array): boolean {
    if (vector.length === 0 || vector.length > mostDimensions) return false;
    const scope = open(name);
    // Another embeddings model under the same name: what the old one said cannot be compared with it.
    if (scope.arena?.dimensions !== vector.length)
      scope.arena = vectorArena(vector.length, rowsWithin(limits, vector.length), weightOf);
    const isAdded = scope.arena.add(vector, groupOf(asked.rest), asked);
    if (scope.arena.bytes > limits.bytes - limits.bytes / 8) scope.arena.wrap();
    makeRoom();
    return isAdded;
  }

  function makeRoom(): void {
    let bytes = 0;
    for (const { arena } of scopes.values()) bytes += arena?.bytes ?? 0;
    for (const [name, { arena }] of scopes) {
      // The last one is in use. It is too large by itself only where its oldest, short questions gave way to long ones.
      if (bytes <= limits.bytes && scopes.size <= mostScopes) return;
      bytes -= arena?.bytes ?? 0;
      scopes.delete(name);
    }
  }

  function take(name: string, line: Buffer): void {
    const read = readLine(line);
    if (read === undefined || read.by === self) return;
    const { text, rest, reply, atMs } = read;
    put(name, { text, rest, reply, atMs }, read.vector);
  }

  return {
    async catchUp(name) {
      const scope = open(name);
      const nowMs = performance.now();
      if (!cache.isShared || nowMs - scope.caughtUpAtMs < catchUpEveryMs) return;
      scope.caughtUpAtMs = nowMs;
      for (let batch = 0; batch < batchesAtOnce; batch++) {
        const { lines, position } = await cache.linesAfter(name, scope.position, linesAtOnce);
        scope.position = position;
        for (const line of lines) take(name, line);
        if (lines.length < linesAtOnce) return;
      }
    },
    async find(name, rest, vector, threshold) {
      const found = await open(name).arena?.search(vector, groupOf(rest), threshold, nextTurn);
      return (found ?? []).flatMap(({ entry, cosine }) => (entry.rest === rest ? [{ asked: entry, cosine }] : []));
    },
    add(name, asked, vector, ttlMs) {
      if (!put(name, asked, vector) || !cache.isShared) return;
      const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
      const line: Line = { v: 1, by: self, ...asked, vector: bytes };
      cache.append(name, Buffer.from(JSON.stringify(line)), ttlMs);
    },
  };
}

/** Of a question beside its vector: texts of up to two bytes a character, two digests, and what holds them. */
function weightOf({ text, rest, reply }: Asked): number {
  return 2 * (text.length + rest.length + reply.length) + 200;
}

/** As many as are asked for, and as have room. */
function rowsWithin({ rows, bytes }: AskedLimits, dimensions: number): number {
  return Math.max(1, Math.min(rows, Math.floor(bytes / bytesPerRow(dimensions))));
}

function readLine(bytes: Buffer): (Asked & { readonly by: string; readonly vector: Float32Array }) | undefined {
  try {
    const { v, by, text, rest, reply, atMs, vector }: Partial<Line> = JSON.parse(bytes.toString());
    if (v !== 1 || by === undefined || text === undefined || rest === undefined || reply === undefined) return undefined;
    if (atMs === undefined || vector === undefined) return undefined;
    const raw = Buffer.from(vector, 'base64');
    // A copy of its own: a Float32Array cannot begin anywhere in a shared buffer.
    return { by, text, rest, reply, atMs, vector: new Float32Array(new Uint8Array(raw).buffer, 0, raw.length >> 2) };
  } catch {
    return undefined;
  }
}

function groupOf(digest: string): number {
  return Buffer.from(digest.slice(0, 8), 'base64url').readUInt32LE(0);
}

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
