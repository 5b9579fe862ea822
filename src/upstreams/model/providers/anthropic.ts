import type { Provider } from '../provider.ts';
import { baseOf, cannot, under } from './address.ts';
import { keyOf } from './credential.ts';

/** Anthropic's API (docs.claude.com/en/api). What a client says in `anthropic-version` and `anthropic-beta` goes along. */
export const anthropic: Provider = {
  name: 'anthropic',
  framing: 'sse',
  dialectsOf: (target) => target.dialects ?? ['messages'],
  addressOf(target, operation) {
    if (operation.kind === 'embed' || operation.dialect !== 'messages') throw cannot(target, operation);
    const base = baseOf(target, 'https://api.anthropic.com/v1');
    return under(base, operation.kind === 'count' ? '/messages/count_tokens' : '/messages');
  },
  authorize(target, { clientHeaders }) {
    const beta = clientHeaders?.['anthropic-beta'];
    const version = clientHeaders?.['anthropic-version'];
    const asked = typeof version === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(version) ? version : '2023-06-01';
    const headers = { 'x-api-key': keyOf(target), 'anthropic-version': target.apiVersion ?? asked };
    return typeof beta === 'string' && isBetaList(beta) ? { ...headers, 'anthropic-beta': beta } : headers;
  },
};

function isBetaList(text: string): boolean {
  return text.length <= 1_000 && /^[a-zA-Z0-9._-]+(?: *, *[a-zA-Z0-9._-]+)*$/.test(text);
}
