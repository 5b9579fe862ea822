import type { Provider } from '../provider.ts';
import { baseOf, cannot, under } from './address.ts';
import { keyOf } from './credential.ts';
import { openaiPath } from './openai-paths.ts';

/** The last models that speak nothing but the first of its dialects; all others no longer speak it. */
const completing = /^(?:gpt-3\.5-turbo-instruct|davinci-002|babbage-002)/;

/** OpenAI's API (platform.openai.com/docs/api-reference). */
export const openai: Provider = {
  name: 'openai',
  framing: 'sse',
  dialectsOf: (target) => target.dialects ?? (completing.test(target.model) ? ['completions'] : ['chat', 'responses']),
  addressOf(target, operation) {
    const path = openaiPath(operation);
    if (path === undefined) throw cannot(target, operation);
    return under(baseOf(target, 'https://api.openai.com/v1'), path);
  },
  authorize: (target) => ({ authorization: `Bearer ${keyOf(target)}` }),
};
