import type { IncomingHttpHeaders } from 'node:http';
import type { Ask } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import type { Cancel } from '../../wire/cancel.ts';
import type { RequestMessage } from '../../wire/message.ts';
import type { Reply } from './reply.ts';
import type { Session } from './session.ts';

/** One request of the 2026-07-28 era. It carries everything: nothing is remembered from one to the next. */
export interface ModernRequest {
  readonly caller: Caller;
  /** Of the client; empty where there is none. */
  readonly ip: string;
  readonly toolbox: string;
  readonly door: Ask['door'];
  readonly message: RequestMessage;
  readonly bytes: number;
  readonly reply: Reply;
  /** Undefined on stdio, where nothing mirrors the body. */
  readonly headers: IncomingHttpHeaders | undefined;
  /** Cancelled by `notifications/cancelled` on stdio; over HTTP the client just leaves. */
  readonly cancel: Cancel;
  /** What the answer is named by; undefined on stdio, where nothing could say it. */
  readonly requestId?: string | undefined;
}

/** One request inside a session of the 2024-11-05 to 2025-11-25 era. */
export interface LegacyRequest {
  readonly caller: Caller;
  /** Of the client; empty where there is none. */
  readonly ip: string;
  readonly session: Session;
  readonly door: Ask['door'];
  readonly message: RequestMessage;
  readonly bytes: number;
  readonly reply: Reply;
  readonly traceHeaders?: Ask['traceHeaders'];
  readonly hops?: Ask['hops'];
  /** The header. */
  readonly idempotencyKey?: string | string[] | undefined;
  readonly requestId?: string | undefined;
}
