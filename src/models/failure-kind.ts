import type { ProviderFailure } from './reply.ts';

/** What an HTTP status says of a failure where the provider's own words say no more. */
export function failureKind(status: number): ProviderFailure['kind'] {
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 404) return 'not-found';
  if (status === 413) return 'too-long';
  if (status === 429) return 'rate-limited';
  if (status === 503 || status === 529) return 'overloaded';
  return status >= 400 && status < 500 && status !== 408 && status !== 424 ? 'bad-request' : 'failed';
}

const longestMessage = 2_000;

export function shortMessage(message: string | undefined, status: number): string {
  return message === undefined || message === '' ? `HTTP ${status}` : message.slice(0, longestMessage);
}
