/**
 * Texts that documents of the registry point to by their hash: definitions that were approved or wait for it, what was submitted and
 * what an assessment found. A hash has one text for ever, so whoever writes the text before the document that points to it never
 * leaves a document without its text.
 */
export interface DefinitionStore {
  /** Durable before it resolves. What is there already is kept from now on as if it were new. */
  keep(definitions: readonly StoredDefinition[], nowMs: number): Promise<void>;
  /** Those that are there, in any order. */
  find(hashes: readonly string[]): Promise<readonly StoredDefinition[]>;
  /** Removes what was kept before this time and is not among those still pointed to. Returns how many. */
  prune(beforeMs: number, pointedTo: ReadonlySet<string>): Promise<number>;
}

export interface StoredDefinition {
  readonly hash: string;
  /** JSON. */
  readonly body: string;
}
