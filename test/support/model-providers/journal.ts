import type { IncomingHttpHeaders } from 'node:http';
import type { Usage } from '../../../src/models/reply.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

/** One request and what became of it: the truth that settlements are compared with. */
export interface JournalEntry {
  readonly number: number;
  readonly operation: 'generate' | 'embed' | 'count' | 'models' | 'token' | 'none';
  readonly model: string | undefined;
  readonly isStream: boolean;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: JsonObject | undefined;
  readonly bytes: Buffer;
  status: number | undefined;
  /** What the provider bills: of a stream that ended early, its input and as much of the output as went out. */
  usage: Usage | undefined;
  /** The last that went out about usage. */
  told: Usage | undefined;
  /** Pieces of the model's words that went out. */
  pieces: number;
  ending: 'open' | 'complete' | 'cut' | 'client-closed';
  /** Resolves when `ending` is said. */
  readonly ended: Promise<void>;
}
