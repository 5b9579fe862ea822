import type { Provider, ProviderTarget } from '../provider.ts';
import { baseOf, cannot, segmentOf, under, versionOf } from './address.ts';
import { keyOf } from './credential.ts';
import { openaiPath } from './openai-paths.ts';

const openaiRoot = '/openai';

/** Google AI Studio (ai.google.dev/api), and its address for OpenAI clients where a target's `dialects` name theirs. */
export const gemini: Provider = {
  name: 'gemini',
  framing: 'sse',
  dialectsOf: (target) => target.dialects ?? ['gemini'],
  addressOf(target, operation, isStream) {
    const isChat = operation.kind === 'generate' && operation.dialect === 'chat';
    // OpenAI's dialect has not left the beta.
    const base = baseOf(target, `https://generativelanguage.googleapis.com/${versionOf(target, isChat ? 'v1beta' : 'v1')}`);
    if (operation.kind === 'embed') return under(base, `${modelPath(target)}:batchEmbedContents`);
    if (operation.kind === 'generate' && operation.dialect === 'gemini')
      return generateAddress(base, modelPath(target), isStream);
    const path = isChat ? openaiPath(operation) : undefined;
    if (path === undefined) throw cannot(target, operation);
    return under(base, openaiRoot + path);
  },
  authorize(target, { url }) {
    const key = keyOf(target);
    return url.pathname.endsWith(`${openaiRoot}/chat/completions`)
      ? { authorization: `Bearer ${key}` }
      : { 'x-goog-api-key': key };
  },
};

/** `base` and `model` are encoded. */
export function generateAddress(base: string, model: string, isStream: boolean): URL {
  return isStream ? under(base, `${model}:streamGenerateContent`, { alt: 'sse' }) : under(base, `${model}:generateContent`);
}

/** `gemini-3-flash`, `models/gemini-3-flash` or `tunedModels/mine`. */
function modelPath(target: ProviderTarget): string {
  const { model } = target;
  const [, collection = 'models', name = model] = /^(models|tunedModels)\/(.+)$/.exec(model) ?? [];
  return `/${collection}/${segmentOf(target, name)}`;
}
