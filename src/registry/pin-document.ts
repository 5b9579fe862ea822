import { isObject } from '../wire/json.ts';

/**
 * What is approved of one upstream over one connection. There is one for every upstream, and a start has to read them all: they are
 * checked by hand, since what checks other documents is large.
 */
export interface PinDocument {
  /** `namespace/name`. */
  readonly upstream: string;
  /** Digest of the instructions that came with the approved definitions; empty where there were none. */
  readonly instructions: string;
  /** By whom and why, for the definitions that point here. */
  readonly decisions: readonly PinDecision[];
  readonly tools: readonly PinnedDefinition[];
  readonly prompts: readonly PinnedDefinition[];
  /** Hashes of definitions that somebody looked at and refused. */
  readonly refused: readonly string[];
}

export interface PinDecision {
  /** A principal, or `gatehouse`. */
  readonly by: string;
  /** `first seen`, `screened`, `review rules`, or the id of a submission. */
  readonly why: string;
  readonly atMs: number;
}

/** The shape is the hash without name and title; the last is a place in `decisions`. */
export type PinnedDefinition = readonly [name: string, hash: string, shape: string, decision: number];

/** Undefined where it is no such document. */
export function readPin(value: unknown): PinDocument | undefined {
  if (!isObject(value)) return undefined;
  const { upstream, instructions, decisions, tools, prompts, refused } = value;
  const isText = (part: unknown) => typeof part === 'string';
  if (!isText(upstream) || !isText(instructions) || !Array.isArray(refused) || !refused.every(isText)) return undefined;
  if (!Array.isArray(decisions) || !decisions.every(isDecision)) return undefined;
  for (const list of [tools, prompts]) if (!Array.isArray(list) || !list.every(isPinned)) return undefined;
  return value as unknown as PinDocument;
}

function isDecision(value: unknown): boolean {
  return isObject(value) && typeof value.by === 'string' && typeof value.why === 'string' && typeof value.atMs === 'number';
}

function isPinned(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 4) return false;
  const [name, hash, shape, decision] = value;
  return typeof name === 'string' && typeof hash === 'string' && typeof shape === 'string' && Number.isInteger(decision);
}

/** As `readDocument`, for this kind alone. */
export function readPinDocument(
  kind: string,
  value: unknown,
): { readonly body: PinDocument } | { readonly problems: readonly string[] } | undefined {
  if (kind !== 'pin') return undefined;
  const body = readPin(value);
  return body === undefined ? { problems: ['It is not a list of approved definitions.'] } : { body };
}
