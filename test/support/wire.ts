/** JSON as the tests see it on the wire. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** One JSON-RPC message, as loosely typed as a wire is. */
export interface WireMessage {
  readonly jsonrpc?: string;
  readonly id?: string | number | null;
  readonly method?: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the far end sent; tests look into it.
  readonly params?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly result?: any;
  readonly error?: { code: number; message: string; data?: unknown };
}

/** Feeds on text in any cuts and calls back for each complete event of a `text/event-stream` body. */
export class EventReader {
  #rest = '';
  readonly #onEvent: (event: { id: string | undefined; name: string | undefined; data: string | undefined }) => void;

  constructor(onEvent: (event: { id: string | undefined; name: string | undefined; data: string | undefined }) => void) {
    this.#onEvent = onEvent;
  }

  push(text: string): void {
    this.#rest += text.replaceAll('\r\n', '\n');
    for (let end = this.#rest.indexOf('\n\n'); end >= 0; end = this.#rest.indexOf('\n\n')) {
      const block = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 2);
      const fields = block.split('\n').map((line) => /^(\w*):? ?(.*)$/.exec(line));
      const values = (name: string): string[] => fields.filter((field) => field?.[1] === name).map((field) => field?.[2] ?? '');
      const data = values('data');
      this.#onEvent({ id: values('id')[0], name: values('event')[0], data: data.length === 0 ? undefined : data.join('\n') });
    }
  }
}

export function parseMessages(text: string): WireMessage[] {
  if (text.trim() === '') return [];
  try {
    const value = JSON.parse(text) as WireMessage | WireMessage[];
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}
