/** Where everything about one request of a client goes, whatever carries it. */
export interface Reply {
  /** Whether `send` can reach the client: not where it takes plain JSON only, or has left. */
  readonly canSend: boolean;
  /** A message before the answer: progress, a log line, a request to the client. */
  send(message: string): void;
  /** The answer. Nothing follows it. `status` is the HTTP status where there is one and nothing was sent before. */
  finish(message: readonly Buffer[], status?: number, headers?: Readonly<Record<string, string | number>>): void;
  /** Names the answer by another request's id, as long as nothing was sent. */
  named?(requestId: string): void;
  /** Ends without an answer, for a request its client cancelled. */
  abandon(): void;
  /** Runs once when the client is gone before the answer was sent, at once if it is already. Returns a function that takes it back. */
  onGone(listener: () => void): () => void;
}
