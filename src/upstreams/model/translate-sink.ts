import { type ClientDialect, ReplyError, type StreamReader, type StreamWriter } from '../../models/dialect.ts';
import type { ReplyEvent } from '../../models/reply.ts';
import { blankOut } from '../blank-out.ts';
import type { AnswerStream } from '../upstream.ts';
import { AwsEventStreamReader } from './aws-event-stream.ts';
import { EventSplitter, readEvent } from './event-splitter.ts';
import type { OpenTarget } from './open-target.ts';
import { eventLimitBytes, heldLimitBytes } from './pass-sink.ts';
import type { Provider } from './provider.ts';
import type { BodySink } from './provider-exchange.ts';
import { SplitSecrets } from './split-secrets.ts';
import type { StreamMeter } from './stream-meter.ts';

interface TranslateOptions {
  readonly framing: Provider['framing'];
  readonly reader: StreamReader;
  readonly client: Pick<ClientDialect, 'textsOf'>;
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
  /** Takes what the last event left out; false where something is missing. */
  readonly #endFrames: () => boolean;
  readonly #split: SplitSecrets;
  #text = '';
  #hasSpoken = false;

  constructor(options: TranslateOptions) {
    this.#options = options;
    this.#split = new SplitSecrets(options.client, options.target);
    if (options.framing === 'sse') {
      const splitter = new EventSplitter(eventLimitBytes);
      this.#push = (chunk) => splitter.push(chunk, (event) => this.#event(event));
      this.#endFrames = () => splitter.end((event) => this.#event(event));
    } else {
      const onEvent = ({ type, data }: { readonly type: string; readonly data: Buffer }) => this.#read(type, data.toString());
      const reader = new AwsEventStreamReader({ onEvent }, eventLimitBytes);
      this.#push = (chunk) => reader.push(chunk);
      this.#endFrames = () => !reader.isInside;
    }
  }

  get isComplete(): boolean {
    return this.#options.reader.isComplete;
  }

  data(chunk: Buffer): Promise<void> | undefined {
    this.#push(chunk);
    return this.#hasSpoken || this.#text.length > heldLimitBytes ? this.#flush() : undefined;
  }

  end(): Promise<void> | undefined {
    const { reader, writer } = this.#options;
    const isWhole = this.#endFrames();
    if (isWhole && reader.end !== undefined) this.#say(reader.end());
    if (!reader.isComplete || !isWhole) throw new ReplyError('the stream ended before the answer was complete');
    this.#text += writer.end();
    return this.#write(Buffer.concat([this.#take(), this.#split.end()]));
  }

  #event(event: Buffer): void {
    const read = readEvent(event);
    if (read !== undefined) this.#read(read.type, read.data);
  }

  #read(type: string, data: string): void {
    this.#say(this.#options.reader.read(type, data));
  }

  #say(events: readonly ReplyEvent[]): void {
    const { writer, meter } = this.#options;
    for (const event of events) {
      meter.saw(event);
      if (isSpoken(event)) this.#hasSpoken = true;
      if (event.kind === 'delta') {
        meter.spokenBytes += Buffer.byteLength(event.text);
        this.#saw(event.text);
      } else if (event.kind === 'open' && event.part === 'tool-call') {
        this.#saw(event.id);
        this.#saw(event.name);
      }
      this.#text += writer.write(event);
    }
  }

  #saw(text: string): void {
    this.#split.saw(text, 0, text.length);
  }

  #flush(): Promise<void> | undefined {
    return this.#text === '' ? undefined : this.#write(this.#take());
  }

  #take(): Buffer {
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    blankOut(bytes, this.#options.target.secrets);
    return this.#split.pass(bytes);
  }

  #write(bytes: Buffer): Promise<void> | undefined {
    if (bytes.length === 0) return undefined;
    const { stream, meter } = this.#options;
    meter.wrote(bytes.length);
    return stream.write(bytes);
  }
}

function isSpoken({ kind }: ReplyEvent): boolean {
  return kind !== 'start' && kind !== 'usage';
}
