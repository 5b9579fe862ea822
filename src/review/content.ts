import { hash } from 'node:crypto';
import type { DefinitionKind } from '../catalog/definition.ts';
import { GatewayError } from '../errors.ts';
import type { DefinitionStore, StoredDefinition } from '../store/ports/definitions.ts';
import type { Assessment } from './assess.ts';

/** What a submission is about; whoever approves it approves exactly this. */
export interface Content {
  readonly server: string | undefined;
  readonly protocolVersion: string | undefined;
  /** Digest of the instructions, and the text. */
  readonly instructions: string;
  readonly instructionsText: string | undefined;
  readonly definitions: readonly SubmittedDefinition[];
  /** Every hash that was part of it at some time: an upstream that goes to and fro makes no news. */
  readonly seen: readonly string[];
}

export interface SubmittedDefinition {
  readonly kind: DefinitionKind;
  readonly name: string;
  readonly hash: string;
  readonly shape: string;
  readonly why: 'offered' | 'changed' | 'added';
  /** Of the definition that is approved under this name, where there is one. */
  readonly approved?: string | undefined;
  /** The approved name that it was offered under before. */
  readonly renamedFrom?: string | undefined;
}

/** A text as the store keeps it, under the hash that documents point to it by. */
export function toText(value: object): StoredDefinition {
  const body = JSON.stringify(value);
  return { hash: hash('sha256', body, 'base64url'), body };
}

/** Throws GatewayError `internal` where the store has lost it. */
export async function readContent(definitions: DefinitionStore, wanted: string): Promise<Content> {
  return (await readText(definitions, wanted)) as unknown as Content;
}

export async function readAssessment(definitions: DefinitionStore, wanted: string): Promise<Assessment> {
  return (await readText(definitions, wanted)) as unknown as Assessment;
}

async function readText(definitions: DefinitionStore, wanted: string): Promise<object> {
  const [found] = await definitions.find([wanted]);
  if (found === undefined)
    throw new GatewayError('internal', 'The store has lost what was submitted. Reject the submission and submit it again.');
  // Our own: it was written by toText.
  return JSON.parse(found.body) as object;
}
