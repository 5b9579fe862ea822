import type { DescriptionSource } from '../../catalog/config.ts';
import type { RememberedUpstream } from '../../store/ports.ts';
import { isObject } from '../../wire/json.ts';
import type { Conversion } from './conversion.ts';

/** Changes with the description's bytes, and with the program that read them. */
export function fingerprint({ sha256 }: Pick<DescriptionSource, 'sha256'>, version: string): string {
  return `openapi ${version} ${sha256}`;
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
