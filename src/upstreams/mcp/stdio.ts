import { blankOut, blankText } from '../blank-out.ts';
import { type BoundedLog, logText } from '../bounded-log.ts';
import { LinkError } from '../link-error.ts';
import { ChildProcessGroup } from './child-process.ts';
import { LineReader } from './line-reader.ts';
import {
  closedBefore,
  emptyInbox,
  type Inbox,
  type InFlight,
  type Link,
  type OutgoingRequest,
  type RequestListener,
} from './link.ts';
import { PendingRequests } from './pending.ts';

interface StdioTarget {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
  /** Byte strings that no answer and no line of its log may carry back. */
  readonly secrets: readonly Buffer[];
  readonly subject: string;
  readonly log: BoundedLog;
}

// Lines that are no messages: a stray print is forgiven, a stream of them is not.
const strayLines = 200;
const strayBytes = 1024 * 1024;
const backlogBytes = 16 * 1024 * 1024;
const lineSlackBytes = 64 * 1024;
const noHeaders: readonly string[] = [];

/** A child process that speaks newline-delimited JSON-RPC on its stdin and stdout (transports, "stdio"). */
export class StdioLink implements Link {
  readonly transport = 'stdio';
  readonly headers = noHeaders;
  readonly #target: StdioTarget;
  readonly #child: ChildProcessGroup;
  readonly #pending: PendingRequests;
  readonly #reader: LineReader;
  #inbox: Inbox = emptyInbox;
  #lastId = 0;
  #strayLines = 0;
  #strayBytes = 0;
  #end: LinkError | undefined;

  private constructor(target: StdioTarget, child: ChildProcessGroup) {
    this.#target = target;
    this.#child = child;
    const { subject } = target;
    this.#pending = new PendingRequests({
      inbox: () => this.#inbox,
      tooLarge: (limitBytes) =>
        new LinkError('answer_too_large', `${subject} sent more than the ${limitBytes} bytes an answer may have.`),
      onStray: (details, bytes) => this.#stray(details, bytes),
    });
    this.#reader = new LineReader(lineSlackBytes, (line) => this.#line(line));
  }

  /** Starts the command. Rejects with LinkError when it cannot be started. */
  static async start(target: StdioTarget): Promise<StdioLink> {
    const child = new ChildProcessGroup(target);
    const link = new StdioLink(target, child);
    child.onOutput((chunk) => link.#output(chunk));
    child.onLogLine((line) =>
      target.log.info({ stderr: logText(blankText(line, target.secrets)) }, 'the upstream wrote to its log'),
    );
    child.onEnd((reason) => link.#ended(reason));
    const problem = await child.started();
    if (problem !== undefined) {
      throw new LinkError('upstream_unavailable', `${target.subject} cannot be started (${problem}).`, {
        isUnsent: true,
        detail: problem,
      });
    }
    return link;
  }

  get inbox(): Inbox {
    return this.#inbox;
  }
  set inbox(inbox: Inbox) {
    this.#inbox = inbox;
    // The process may have ended before anybody listened.
    if (this.#end !== undefined) inbox.closed(this.#end);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  onEnd(listener: () => void): void {
    this.#child.onEnd(listener);
  }

  nextId(): number {
    return ++this.#lastId;
  }

  request(request: OutgoingRequest, listener: RequestListener): InFlight {
    const sent = this.#pending.add(request, listener);
    // A line may be as long as the largest answer that anybody ever waited for; what is longer is no answer at all.
    this.#reader.limitBytes = Math.max(this.#reader.limitBytes, request.limitBytes + lineSlackBytes);
    if (this.#end !== undefined) this.#pending.failAll(closedBefore(this.#target.subject, this.#end));
    else if (this.#child.backlog > backlogBytes) {
      sent.giveUp();
      const text = `${this.#target.subject} does not read what it is sent.`;
      listener.failed(new LinkError('upstream_busy', text, { isUnsent: false, detail: 'it does not read its input' }));
    } else this.#child.write(`${request.body}\n`);
    return sent;
  }

  async send(body: string): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#child.backlog <= backlogBytes) this.#child.write(`${body}\n`);
  }

  listen(): void {}
  readonly isListening = true;
  async endSession(): Promise<void> {}

  retire(): Promise<void> {
    return this.close();
  }

  async close(): Promise<void> {
    this.#close(new LinkError('upstream_unavailable', `${this.#target.subject} was closed.`, { detail: 'it was closed' }));
    await this.#child.stop();
  }

  #output(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#recycle('answer_too_large', `a line longer than ${this.#reader.limitBytes} bytes`);
    }
  }

  #line(line: Buffer): void {
    if (this.#end !== undefined || line.length === 0) return;
    blankOut(line, this.#target.secrets);
    if (this.#pending.take(line)) {
      this.#strayLines = 0;
      this.#strayBytes = 0;
    }
  }

  #stray(details: Readonly<Record<string, unknown>>, bytes: Buffer): void {
    this.#target.log.warn(details, 'the upstream wrote something that is not for us');
    this.#strayLines++;
    this.#strayBytes += bytes.length;
    if (this.#strayLines > strayLines || this.#strayBytes > strayBytes)
      this.#recycle('upstream_failed', 'output that is not MCP');
  }

  /** The process is beyond trust: it is ended, and the upstream starts another one. */
  #recycle(code: 'answer_too_large' | 'upstream_failed', what: string): void {
    this.#close(
      new LinkError(code, `${this.#target.subject} wrote ${what}; it is being restarted.`, { detail: `it wrote ${what}` }),
    );
    this.#child.stop().catch(() => {});
  }

  #ended(reason: string): void {
    this.#close(
      new LinkError(
        'upstream_failed',
        `${this.#target.subject} stopped (${reason}). Whether the call was carried out is not known.`,
        {
          detail: reason,
        },
      ),
    );
  }

  #close(error: LinkError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#pending.failAll(error);
    this.#inbox.closed(error);
  }
}
