import { ReplyError, type StreamReader, type StreamWriter } from '../../models/dialect.ts';
import type { ReplyEvent } from '../../models/reply.ts';
import { blankOut } from '../blank-out.ts';
import type { AnswerStream } from '../upstream.ts';
import { AwsEventStreamReader } from './aws-event-stream.ts';
import { EventSplitter, readEvent } from './event-splitter.ts';
import type { OpenTarget } from './open-target.ts';
import { eventLimitBytes, heldLimitBytes } from './pass-sink.ts';
import type { Provider } from './provider.ts';
import type { BodySink } from './provider-exchange.ts';
import type { StreamMeter } from './stream-meter.ts';

interface TranslateOptions {
  readonly framing: Provider['framing'];
  readonly reader: StreamReader;
  readonly writer: StreamWriter;
  readonly meter: StreamMeter;
  readonly stream: AnswerStream;
  /** What it was sent in confidence is blanked out. */
  readonly target: Pick<OpenTarget, 'secrets'>;
}

/** Says an answer again in the client's dialect, event by event, as it comes. */
export class TranslateSink implements BodySink {
  readonly #options: TranslateOptions;
  readonly #push: (chunk: Buffer) => void;
  readonly #isInside: () => boolean;
  #text = '';
  #hasSpoken = false;

  constructor(options: TranslateOptions) {
    this.#options = options;
    if (options.framing === 'sse') {
      const splitter = new EventSplitter(eventLimitBytes);
      this.#push = (chunk) => splitter.push(chunk, (event) => this.#event(event));
      this.#isInside = () => splitter.restBytes > 0;
    } else {
      const onEvent = ({ type, data }: { readonly type: string; readonly data: Buffer }) => this.#read(type, data.toString());
      const reader = new AwsEventStreamReader({ onEvent }, eventLimitBytes);
      this.#push = (chunk) => reader.push(chunk);
      this.#isInside = () => reader.isInside;
    }
  }

  data(chunk: Buffer): Promise<void> | undefined {
    this.#push(chunk);
    return this.#hasSpoken || this.#text.length > heldLimitBytes ? this.#flush() : undefined;
  }

  end(): Promise<void> | undefined {
    const { reader, writer } = this.#options;
    if (!reader.isComplete || this.#isInside()) throw new ReplyError('the stream ended before the answer was complete');
    this.#text += writer.end();
    return this.#flush();
  }

  #event(event: Buffer): void {
    const read = readEvent(event);
    if (read !== undefined) this.#read(read.type, read.data);
  }

  #read(type: string, data: string): void {
    const { reader, writer, meter } = this.#options;
    for (const event of reader.read(type, data)) {
      meter.saw(event);
      if (isSpoken(event)) this.#hasSpoken = true;
      if (event.kind === 'delta') meter.spokenBytes += Buffer.byteLength(event.text);
      this.#text += writer.write(event);
    }
  }

  #flush(): Promise<void> | undefined {
    if (this.#text === '') return undefined;
    const { target, stream, meter } = this.#options;
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    blankOut(bytes, target.secrets);
    meter.wrote(bytes.length);
    return stream.write(bytes);
  }
}

function isSpoken({ kind }: ReplyEvent): boolean {
  return kind !== 'start' && kind !== 'usage';
}
