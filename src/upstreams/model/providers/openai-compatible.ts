import type { Provider } from '../provider.ts';
import { baseOf, cannot, under } from './address.ts';
import { keyOf } from './credential.ts';
import { openaiPath } from './openai-paths.ts';

/** Whatever speaks as OpenAI does: vLLM, Ollama, Groq, OpenRouter, ... Some want no key. */
export const openaiCompatible: Provider = {
  name: 'openai-compatible',
  framing: 'sse',
  // Most of them know no other name for it, and some refuse members that they do not know.
  habits: { maxTokensMember: 'max_tokens' },
  dialectsOf: (target) => target.dialects ?? ['chat'],
  addressOf(target, operation) {
    const path = openaiPath(operation);
    if (path === undefined) throw cannot(target, operation);
    return under(baseOf(target, undefined), path);
  },
  authorize: (target) => (target.credential === undefined ? {} : { authorization: `Bearer ${keyOf(target)}` }),
};
