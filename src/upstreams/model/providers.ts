import type { Reach } from '../fetch-json.ts';
import type { Provider, ProviderName } from './provider.ts';
import { anthropic } from './providers/anthropic.ts';
import { azure } from './providers/azure.ts';
import { bedrock } from './providers/bedrock.ts';
import { gemini } from './providers/gemini.ts';
import { openai } from './providers/openai.ts';
import { openaiCompatible } from './providers/openai-compatible.ts';
import { openVertex } from './providers/vertex.ts';

/** Every provider there is. `reach` is for tokens that have to be got before a request. */
export function openProviders(reach: Pick<Reach, 'fetchJson' | 'mayReach'>): Readonly<Record<ProviderName, Provider>> {
  return {
    openai,
    azure,
    'openai-compatible': openaiCompatible,
    anthropic,
    gemini,
    vertex: openVertex(reach),
    bedrock,
  };
}
