import { type ErrorCode, GatewayError } from '../errors.ts';

interface LinkErrorDetails {
  readonly status?: number;
  /** Not one byte of the request left this process. */
  readonly isUnsent?: boolean;
  readonly retryAfterMs?: number | undefined;
  /** The header `WWW-Authenticate` of a refusal. */
  readonly challenge?: string | undefined;
  /** What happened, to stand in brackets in a longer sentence. */
  readonly detail?: string;
  readonly cause?: unknown;
}

/** No answer came. The message is fit for a client: which upstream, what happened, no address but host and port. */
export class LinkError extends GatewayError {
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  readonly isUnsent: boolean;
  readonly detail: string | undefined;
  readonly challenge: string | undefined;

  constructor(code: ErrorCode, message: string, details: LinkErrorDetails = {}) {
    super(code, message, {
      ...(details.retryAfterMs === undefined ? {} : { retryAfterMs: details.retryAfterMs }),
      ...(details.cause === undefined ? {} : { cause: details.cause }),
    });
    this.status = details.status;
    this.isUnsent = details.isUnsent ?? false;
    this.detail = details.detail;
    this.challenge = details.challenge;
  }
}

const phrases: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused to',
  ECONNRESET: 'connection reset by',
  EPIPE: 'connection closed by',
  UND_ERR_SOCKET: 'connection closed by',
  ETIMEDOUT: 'no connection in time to',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time to',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'no answer from the name service for',
  EHOSTUNREACH: 'no route to',
  ENETUNREACH: 'no route to',
};

/** What went wrong on the way to `where` (host:port), in words that hold nothing else of the error. */
export function describeFailure(error: unknown, where: string): string {
  const code = errorCode(error);
  if (code === undefined) return `no connection to ${where}`;
  if (code === 'EGRESS_REFUSED')
    return `no address that may be reached for ${where}; one that is not public has to be in GATEHOUSE_EGRESS_ALLOW, in a process that a client starts, too`;
  const phrase = phrases[code];
  if (phrase !== undefined) return `${phrase} ${where}`;
  if (/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_VERIFY/.test(code)) return `the certificate of ${where} is not accepted (${code})`;
  if (code.startsWith('HPE_') || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') return `malformed HTTP from ${where}`;
  return `${code} at ${where}`;
}

function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (typeof code === 'string' && /^[A-Z0-9_]{2,60}$/.test(code)) return code;
  return cause === undefined ? undefined : errorCode(cause);
}
