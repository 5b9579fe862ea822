import type { EventStore } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

type Message = Parameters<EventStore['storeEvent']>[1];

/** Keeps the events of all streams, so that a broken stream can be taken up again. */
export class InMemoryEventStore implements EventStore {
  readonly #events: { readonly stream: string; readonly message: Message }[] = [];

  async storeEvent(stream: string, message: Message): Promise<string> {
    this.#events.push({ stream, message });
    return String(this.#events.length - 1);
  }

  async replayEventsAfter(last: string, { send }: { send: (id: string, message: Message) => Promise<void> }): Promise<string> {
    const stream = this.#events[Number(last)]?.stream ?? '';
    for (const [index, event] of this.#events.entries()) {
      if (index > Number(last) && event.stream === stream && 'jsonrpc' in event.message) await send(String(index), event.message);
    }
    return stream;
  }
}
