import { GatewayError } from '../../errors.ts';
import type { ConversionLimits } from './conversion-limits.ts';

/** Throws GatewayError `bad_description`. */
export function checkSize({ byteLength }: Uint8Array, { documentBytes }: ConversionLimits): void {
  if (byteLength <= documentBytes) return;
  throw refuse(`has ${megabytes(byteLength)} MB; at most ${megabytes(documentBytes)} MB are read.`);
}

/** The sentence goes on from "The API description". */
export function refuse(sentence: string, cause?: unknown): GatewayError {
  return new GatewayError('bad_description', `The API description ${sentence}`, { cause });
}

export function megabytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1).replace('.0', '');
}
