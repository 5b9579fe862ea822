import { type ErrorCode, errorTable, GatewayError } from '../../errors.ts';
import { sealBytes, unsealBytes } from '../../seal.ts';
import type { Answer } from '../../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { type RawResult, type RpcError, readMessage } from '../../wire/message.ts';

/** What came of a call that is made once. */
export type Kept =
  | { readonly kind: 'answer'; readonly answer: KeptAnswer }
  | { readonly kind: 'failure'; readonly code: ErrorCode; readonly message: string; readonly data: unknown }
  /** It was made, and there is nothing to give again. */
  | { readonly kind: 'unkept'; readonly why: keyof typeof reasons };

/** An answer as its client got it; of one that came in parts all that was written. */
export type KeptAnswer =
  | (Answer & { readonly kind: 'result' | 'error' | 'reply' })
  | { readonly kind: 'streamed'; readonly body: Buffer };

/** Longer answers are not kept. */
export const longestKeptBytes = 1024 * 1024;

const reasons = {
  secret:
    'was carried out. Its answer is not kept, as it may hold a secret: look at what is there now, or take a new key to do it again.',
  size: `was answered at such length that the answer is not kept (over ${longestKeptBytes / 1024 / 1024} MiB). Take a new key to ask again.`,
  much: 'was answered, and so much was kept for you in this hour that the answer is not. Take a new key to ask again.',
  unknown:
    'was sent, and what came of it is not known. It may have been carried out: check that before you repeat it with a new key.',
} as const;

/** For those who ask for it again. */
export function failureOf(kept: Exclude<Kept, { readonly kind: 'answer' }>): GatewayError {
  if (kept.kind === 'unkept') return new GatewayError('conflict', `The call with this idempotency key ${reasons[kept.why]}`);
  return new GatewayError(kept.code, kept.message, kept.data === undefined ? {} : { data: kept.data });
}

/** Sealed for its place alone. */
export function sealKept(key: Buffer, place: string, kept: Kept): string {
  const { head, body } = written(kept);
  const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
  return sealBytes(key, purposeOf(place), bytes).toString('base64url');
}

/** Undefined where it is not what was sealed. */
export function openKept(key: Buffer, place: string, sealed: string): Kept | undefined {
  const bytes = unsealBytes(key, purposeOf(place), Buffer.from(sealed, 'base64url'));
  const end = bytes?.indexOf('\n') ?? -1;
  if (bytes === undefined || end < 0) return undefined;
  const head: unknown = JSON.parse(bytes.toString('utf8', 0, end));
  return isObject(head) ? read(head, bytes.subarray(end + 1)) : undefined;
}

function purposeOf(place: string): string {
  return `keyed call ${place}`;
}

const none = Buffer.alloc(0);

function written(kept: Kept): { readonly head: object; readonly body: Buffer } {
  if (kept.kind !== 'answer') return { head: kept, body: none };
  const { answer } = kept;
  switch (answer.kind) {
    case 'streamed':
      return { head: { kind: 'streamed' }, body: answer.body };
    case 'reply':
      return { head: { kind: 'reply', headers: answer.headers }, body: answer.body };
    case 'error':
      return { head: { kind: 'error', error: answer.error }, body: none };
    case 'result':
      return { head: { kind: 'result' }, body: answer.result.bytes.subarray(answer.result.start, answer.result.end) };
  }
}

function read(head: JsonObject, body: Buffer): Kept | undefined {
  switch (head.kind) {
    case 'streamed':
      return { kind: 'answer', answer: { kind: 'streamed', body } };
    case 'reply':
      return { kind: 'answer', answer: { kind: 'reply', body, headers: textsOf(head.headers) } };
    case 'error':
      return { kind: 'answer', answer: { kind: 'error', error: head.error as unknown as RpcError } };
    case 'result':
      return { kind: 'answer', answer: { kind: 'result', result: resultOf(body) } };
    case 'failure': {
      const { code, message, data } = head;
      if (typeof code !== 'string' || !Object.hasOwn(errorTable, code) || typeof message !== 'string') return undefined;
      return { kind: 'failure', code: code as ErrorCode, message, data };
    }
    case 'unkept':
      return typeof head.why === 'string' && Object.hasOwn(reasons, head.why)
        ? { kind: 'unkept', why: head.why as keyof typeof reasons }
        : undefined;
    default:
      return undefined;
  }
}

/** Read as it came: a message around it. */
function resultOf(body: Buffer): RawResult {
  const message = readMessage(Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":0,"result":'), body, Buffer.from('}')]));
  if (message.kind !== 'result') throw new Error('a result that was kept is none');
  return message.result;
}

function textsOf(value: Json | undefined): Readonly<Record<string, string>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
