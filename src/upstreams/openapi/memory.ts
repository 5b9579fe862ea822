import { createHash } from 'node:crypto';
import type { ApiTransport } from '../../catalog/config.ts';
import type { RememberedUpstream } from '../../store/ports/upstream-memory.ts';
import { isObject } from '../../wire/json.ts';
import type { Conversion } from './conversion.ts';

/** Changes with the description's bytes, what it may refer to, and the program that read them. Ends with the bytes' hash. */
export function fingerprint(
  { description, references }: Pick<ApiTransport, 'description' | 'references'>,
  version: string,
): string {
  const allowed = references.length === 0 ? '' : `${createHash('sha256').update(JSON.stringify(references)).digest('hex')} `;
  return `openapi ${version} ${allowed}${description.sha256}`;
}

export function encodeMemory(conversion: Conversion): string {
  return JSON.stringify(conversion);
}

/** Undefined where nothing usable is remembered; without `wanted`, whatever description it was. */
export function decodeMemory(remembered: RememberedUpstream | undefined, wanted?: string): Conversion | undefined {
  if (remembered === undefined || !remembered.fingerprint.startsWith('openapi ')) return undefined;
  if (wanted !== undefined && remembered.fingerprint !== wanted) return undefined;
  try {
    const state: unknown = JSON.parse(remembered.state);
    // Our own store wrote it.
    return isObject(state) && Array.isArray(state.operations) ? (state as unknown as Conversion) : undefined;
  } catch {
    return undefined;
  }
}
