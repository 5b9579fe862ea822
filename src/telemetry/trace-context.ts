import { randomFillSync } from 'node:crypto';

/** Where a request stands in somebody's trace (W3C Trace Context). */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits: the caller's span. */
  readonly spanId: string;
  /** The caller records its spans. */
  readonly isSampled: boolean;
  /** As it came; undefined when there was none, or none that is valid. */
  readonly state: string | undefined;
}

const traceparentLength = 55;
const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const stateLimit = 512;
const noTrace = '0'.repeat(32);
const noSpan = '0'.repeat(16);

/**
 * Reads `traceparent` and `tracestate`, from wherever they came. Undefined for anything that is not valid, as the specification
 * asks: a broken context is as good as none. (W3C Trace Context, sections 3.2, 3.3 and 4.3.)
 */
export function readTraceContext(parent: unknown, state: unknown): TraceContext | undefined {
  if (typeof parent !== 'string' || parent.length < traceparentLength) return undefined;
  const [, version, traceId = '', spanId = '', flags = ''] = traceparent.exec(parent.slice(0, traceparentLength)) ?? [];
  if (version === undefined || version === 'ff' || traceId === noTrace || spanId === noSpan) return undefined;
  // Later versions may say more, behind another dash; version 00 says exactly this.
  if (parent.length > traceparentLength && (version === '00' || parent[traceparentLength] !== '-')) return undefined;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1, state: readTraceState(state) };
}

export function writeTraceparent(traceId: string, spanId: string): string {
  return `00-${traceId}-${spanId}-01`;
}

const stateMember = /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** Passed on as a whole or not at all: a vendor's entry is nothing that we could mend. */
function readTraceState(state: unknown): string | undefined {
  if (typeof state !== 'string' || state.length === 0 || state.length > stateLimit) return undefined;
  const members = state
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  if (members.length === 0 || members.length > 32 || !members.every((member) => stateMember.test(member))) return undefined;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  return keys.size === members.length ? members.join(',') : undefined;
}

// One call of the random source per 256 ids; asking for 8 bytes each time costs ten times as much.
const pool = Buffer.alloc(4096);
let used = pool.length;

function take(bytes: number): number {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return used - bytes;
}

export function makeTraceId(): string {
  return randomHex(16, noTrace);
}

export function makeSpanId(): string {
  return randomHex(8, noSpan);
}

function randomHex(bytes: number, forbidden: string): string {
  const at = take(bytes);
  const hex = pool.toString('hex', at, at + bytes);
  return hex === forbidden ? randomHex(bytes, forbidden) : hex;
}

/** True for this share of all calls: 0 never, 1 always. */
export function drawLot(share: number): boolean {
  return share > 0 && pool.readUInt32LE(take(4)) < share * 0x1_0000_0000;
}
