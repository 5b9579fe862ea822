import { descriptionLimitBytes } from '../upstream.ts';

/** How much of an API description is read, and how much is made of it. */
export interface ConversionLimits {
  /** Of the description, and of all that it refers to together. */
  readonly documentBytes: number;
  /** Of a description in YAML, which takes ten times as long to read as JSON. */
  readonly yamlBytes: number;
  readonly operations: number;
  /** Of one tool as JSON: what is larger is pruned. */
  readonly toolBytes: number;
  /** Of all tools together: with very many operations, each gets less than `toolBytes`. */
  readonly allToolsBytes: number;
  /** Other documents that a description refers to. */
  readonly references: number;
}

export const conversionLimits: ConversionLimits = {
  documentBytes: descriptionLimitBytes,
  yamlBytes: 16 * 1024 * 1024,
  operations: 25_000,
  toolBytes: 16 * 1024,
  allToolsBytes: 32 * 1024 * 1024,
  references: 50,
};

/** Nesting in a document; the deepest of 2,639 published ones has 34 levels. */
export const depthLimit = 200;

/** What each tool gets, however many there are. */
const leastToolBytes = 2 * 1024;

export function toolBytesFor(operations: number, { toolBytes, allToolsBytes }: ConversionLimits): number {
  return Math.min(toolBytes, Math.max(leastToolBytes, Math.floor(allToolsBytes / Math.max(operations, 1))));
}
