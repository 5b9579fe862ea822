import type { Logger } from 'pino';
import { GatewayError } from '../errors.ts';
import { followRegistry } from '../store/follow-registry.ts';
import type { ChangeRecord, DocumentChange, RegistryStore, StoredDocument } from '../store/ports/registry.ts';
import type { DocumentKind, Documents } from './documents.ts';
import { readPinDocument } from './pin-document.ts';

/** A document as it is now. */
export interface Entry<Kind extends DocumentKind> {
  readonly id: string;
  readonly body: Documents[Kind];
  readonly revision: number;
  readonly updatedAtMs: number;
}

/** One document to be written, or removed where it has no body. */
export type Edit = {
  readonly [Kind in DocumentKind]: {
    readonly kind: Kind;
    readonly id: string;
    readonly body: Documents[Kind] | undefined;
  };
}[DocumentKind];

type ReadDocument = typeof import('./documents.ts').readDocument;

/** What is registered at run time, in memory and in step with the store. Reads cost nothing; a commit is durable before it resolves. */
export class Registry {
  readonly #store: RegistryStore;
  readonly #log: Logger;
  readonly #documents = new Map<DocumentKind, Map<string, Entry<DocumentKind>>>();
  /** What `list` answers, until something of the kind changes: ten thousand keys are not sorted for every question. */
  readonly #listed = new Map<DocumentKind, readonly Entry<DocumentKind>[]>();
  readonly #listeners = new Set<() => void>();
  #stop: () => void = () => {};
  #waiting: { readonly revision: number; readonly done: () => void }[] = [];
  #revision = 0;
  /** Set where this store came from a backup that knows less than what was once said. */
  restored: { readonly atMs: number; readonly backupMadeAtMs: number } | undefined;

  static async open(store: RegistryStore, log: Logger): Promise<Registry> {
    const registry = new Registry(store, log);
    const state = await store.load();
    await registry.#read(state.documents);
    registry.#revision = state.position.revision;
    registry.restored = state.restored;
    registry.#stop = followRegistry(store, {
      from: state.position,
      take: (news) => (news.kind === 'changes' ? registry.#take(news.changes, news.position.revision) : registry.#reload()),
      warn: (error) => log.warn({ err: error }, 'changes of the registry could not be read; it is tried again'),
    });
    return registry;
  }

  private constructor(store: RegistryStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Of the newest commit that is in effect here. */
  get revision(): number {
    return this.#revision;
  }

  get<Kind extends DocumentKind>(kind: Kind, id: string): Entry<Kind> | undefined {
    return this.#documents.get(kind)?.get(id) as Entry<Kind> | undefined;
  }

  /** Of a document that is known to be there. */
  require<Kind extends DocumentKind>(kind: Kind, id: string): Entry<Kind> {
    const entry = this.get(kind, id);
    if (entry === undefined) throw new Error(`there is no ${kind} ${id}`);
    return entry;
  }

  /** One new document. Throws GatewayError `conflict` where there is one. */
  async create<Kind extends DocumentKind>(
    kind: Kind,
    id: string,
    body: Documents[Kind],
    record: Omit<ChangeRecord, 'kind' | 'id' | 'detail'>,
  ): Promise<void> {
    if (this.get(kind, id) !== undefined)
      throw new GatewayError('conflict', `There is already a ${kind} "${id}". Choose another name, or change that one.`);
    await this.commit([{ kind, id, body } as unknown as Edit], record);
  }

  /** In the order of their ids. */
  list<Kind extends DocumentKind>(kind: Kind): readonly Entry<Kind>[] {
    let all = this.#listed.get(kind);
    if (all === undefined) {
      all = Object.freeze([...(this.#documents.get(kind)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1)));
      this.#listed.set(kind, all);
    }
    return all as readonly Entry<Kind>[];
  }

  /** Runs after every change, whoever made it. Returns a function that takes the listener back. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * All of the edits or none, with who made them, on disk and in effect in this process before it resolves. Throws GatewayError
   * `conflict` when one of the documents was changed by somebody else since it was read here.
   */
  async commit(
    edits: readonly Edit[],
    record: Omit<ChangeRecord, 'kind' | 'id' | 'detail'> & { readonly detail?: object },
  ): Promise<void> {
    if (edits.length === 0) return;
    const { actor, action, detail = {} } = record;
    await refuseUnreadable(edits);
    const records = edits.map(({ kind, id }) => ({ actor, action, kind, id, detail: JSON.stringify(detail) }));
    const result = await this.#store.commit(
      edits.map((edit) => this.#toChange(edit)),
      records,
    );
    if (result.kind === 'conflict') {
      const names = result.moved.map(({ kind, id }) => `${kind} ${id}`).join(', ');
      throw new GatewayError('conflict', `Somebody else has just changed ${names}; look at it again, then repeat what you did.`);
    }
    await this.#until(result.position.revision);
  }

  close(): void {
    this.#stop();
    for (const { done } of this.#waiting.splice(0)) done();
  }

  #toChange({ kind, id, body }: Edit): DocumentChange {
    return { kind, id, body: body === undefined ? undefined : JSON.stringify(body), expects: this.get(kind, id)?.revision };
  }

  #until(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((done) => this.#waiting.push({ revision, done }));
  }

  async #take(
    changes: readonly (Omit<StoredDocument, 'body'> & { readonly body: string | undefined })[],
    revision: number,
  ): Promise<void> {
    const read = await readerFor(changes.filter(({ body }) => body !== undefined));
    for (const change of changes) {
      if (change.body === undefined) this.#remove(change.kind as DocumentKind, change.id);
      else this.#put({ ...change, body: change.body }, read);
    }
    this.#arrived(revision);
  }

  async #read(documents: readonly StoredDocument[]): Promise<void> {
    const read = await readerFor(documents);
    for (const document of documents) this.#put(document, read);
  }

  async #reload(): Promise<void> {
    this.#log.error(
      'the registry is older than what was known of it: it was restored, or a standby took over; all of it is read again',
    );
    const state = await this.#store.load();
    this.#documents.clear();
    this.#listed.clear();
    await this.#read(state.documents);
    this.restored = state.restored;
    this.#arrived(state.position.revision);
  }

  #arrived(revision: number): void {
    this.#revision = revision;
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#log.error({ err: error }, 'a listener failed to take a change of the registry');
      }
    }
    const arrived = this.#waiting.filter((waiting) => waiting.revision <= revision);
    this.#waiting = this.#waiting.filter((waiting) => waiting.revision > revision);
    for (const { done } of arrived) done();
  }

  #remove(kind: DocumentKind, id: string): void {
    this.#documents.get(kind)?.delete(id);
    this.#listed.delete(kind);
  }

  #put({ kind, id, body, revision, updatedAtMs }: StoredDocument, readDocument: ReadDocument): void {
    const read = readDocument(kind, JSON.parse(body));
    // Of a newer release: it knows what it means.
    if (read === undefined) return;
    const of = this.#documents.get(kind as DocumentKind) ?? new Map<string, Entry<DocumentKind>>();
    this.#documents.set(kind as DocumentKind, of);
    this.#listed.delete(kind as DocumentKind);
    if ('problems' in read) {
      of.delete(id);
      this.#log.error({ kind, id, problems: read.problems }, 'a document is not valid and is left out');
      return;
    }
    of.set(id, Object.freeze({ id, body: read.body, revision, updatedAtMs }));
  }
}

/** What would be left out when it is read again must not take the place of what is there. */
async function refuseUnreadable(edits: readonly Edit[]): Promise<void> {
  const written = edits.filter(({ body }) => body !== undefined);
  const read = await readerFor(written);
  for (const { kind, id, body } of written) {
    const { problems } = { problems: [], ...read(kind, body) };
    if (problems.length > 0) throw new Error(`the ${kind} ${id} was not written, as it could not be read: ${problems.join(' ')}`);
  }
}

// What checks documents is large: a start where nothing is registered does without.
async function readerFor(documents: readonly { readonly kind: string }[]): Promise<ReadDocument> {
  if (documents.every(({ kind }) => kind === 'pin')) return readPinDocument;
  return (await import('./documents.ts')).readDocument;
}
