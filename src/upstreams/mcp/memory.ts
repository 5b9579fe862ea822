import { createHash } from 'node:crypto';
import type { UpstreamConfig } from '../../catalog/config.ts';
import type { RememberedUpstream } from '../../store/ports/upstream-memory.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { emptyOffer, type Offer } from '../upstream.ts';
import type { Verdict } from './probe.ts';

/** What is kept of an MCP upstream between two runs. */
export interface Memory {
  readonly verdict: Verdict;
  /** Which `server/discover` answer or `initialize` result described it. */
  readonly discover: JsonObject;
  /** It once asked without saying for whom; see legacy.ts. */
  readonly needsEach: boolean;
  readonly offer: Offer;
}

/** What a memory is worth at the next start: its verdict may be too old to be used. */
export type Recollection = Omit<Memory, 'verdict'> & { readonly verdict: Verdict | undefined };

// Only `server/discover` could tell that a legacy server has become a modern one, so its verdict must run out.
const legacyVerdictMs = 24 * 60 * 60_000;

/** Changes when the far end may be another one: address, command, directory, era or registration. Secrets are not part of it. */
export function fingerprint({ transport, era, registration }: UpstreamConfig): string {
  const what =
    transport.type === 'http'
      ? [transport.url, Object.keys(transport.headers).sort()]
      : transport.type === 'stdio' && [transport.command, transport.cwd ?? null, Object.entries(transport.env).sort()];
  return createHash('sha256')
    .update(JSON.stringify([era, transport.type, what, ...(registration === undefined ? [] : [registration])]))
    .digest('base64url');
}

export function encodeMemory(memory: Memory): string {
  const { offer, ...rest } = memory;
  const { isStale: _, problems: _problems, ...kept } = offer;
  return JSON.stringify({ ...rest, offer: kept });
}

/** Undefined where nothing usable is remembered; a verdict that may be out of date is left out. */
export function decodeMemory(
  remembered: RememberedUpstream | undefined,
  config: UpstreamConfig,
  nowMs: number,
): Recollection | undefined {
  if (remembered === undefined || remembered.fingerprint !== fingerprint(config)) return undefined;
  let state: unknown;
  try {
    state = JSON.parse(remembered.state);
  } catch {
    return undefined;
  }
  if (!isObject(state) || !isObject(state.offer) || !isObject(state.discover)) return undefined;
  const { verdict } = state;
  if (verdict !== 'modern' && verdict !== 'legacy' && verdict !== 'sse') return undefined;
  const isOld = verdict !== 'modern' && Math.abs(nowMs - remembered.savedAtMs) > legacyVerdictMs;
  return {
    verdict: isOld ? undefined : verdict,
    discover: state.discover,
    needsEach: state.needsEach === true,
    // Our own store wrote it: every list passed the checks before.
    offer: { ...emptyOffer, ...(state.offer as unknown as Offer), isStale: true, problems: [] },
  };
}
