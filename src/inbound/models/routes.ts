/** What a path under `/v1` is for. `dialect` is the one its clients read errors in. */
export type ModelRoute =
  | {
      readonly kind: 'call';
      /** Of the request, as the call has it. */
      readonly request: 'chat' | 'responses' | 'completions' | 'messages' | 'embeddings' | 'count';
      readonly dialect: 'chat' | 'responses' | 'completions' | 'messages';
    }
  | { readonly kind: 'list' }
  /** What a client thinks of an answer. */
  | { readonly kind: 'rate' }
  | { readonly kind: 'model'; readonly name: string };

const calls: Readonly<Record<string, ModelRoute & { readonly kind: 'call' }>> = {
  '/v1/chat/completions': { kind: 'call', request: 'chat', dialect: 'chat' },
  '/v1/responses': { kind: 'call', request: 'responses', dialect: 'responses' },
  '/v1/completions': { kind: 'call', request: 'completions', dialect: 'completions' },
  '/v1/embeddings': { kind: 'call', request: 'embeddings', dialect: 'chat' },
  '/v1/messages': { kind: 'call', request: 'messages', dialect: 'messages' },
  '/v1/messages/count_tokens': { kind: 'call', request: 'count', dialect: 'messages' },
};

const modelPath = '/v1/models/';

/** Undefined where there is nothing. */
export function routeOf(path: string): ModelRoute | undefined {
  if (Object.hasOwn(calls, path)) return calls[path];
  if (path === '/v1/models') return { kind: 'list' };
  if (path === '/v1/ratings') return { kind: 'rate' };
  if (!path.startsWith(modelPath) || path.length === modelPath.length) return undefined;
  try {
    return { kind: 'model', name: decodeURIComponent(path.slice(modelPath.length)) };
  } catch {
    return undefined;
  }
}
