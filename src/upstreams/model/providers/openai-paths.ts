import type { ModelOperation } from '../provider.ts';

const generate: Readonly<Record<string, string>> = {
  chat: '/chat/completions',
  responses: '/responses',
  completions: '/completions',
};

/** Where an OpenAI-shaped server has it, below `/v1`; undefined for what it has not. */
export function openaiPath(operation: ModelOperation): string | undefined {
  if (operation.kind === 'embed') return '/embeddings';
  if (operation.kind === 'count') return operation.dialect === 'responses' ? '/responses/input_tokens' : undefined;
  return Object.hasOwn(generate, operation.dialect) ? generate[operation.dialect] : undefined;
}
