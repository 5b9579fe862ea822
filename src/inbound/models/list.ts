import type { Capability } from '../../catalog/catalog.ts';
import type { UpstreamConfig } from '../../catalog/config.ts';
import type { ToolDefinition } from '../../upstreams/upstream.ts';
import type { JsonObject } from '../../wire/json.ts';

/** Lists of models, in the two shapes that clients know. */
export type ListShape = 'openai' | 'anthropic';

/** A page with all there is (OpenAI API reference, List models; Anthropic API reference, List Models). */
export function listModels(models: readonly Capability<ToolDefinition>[], shape: ListShape, startedAtMs: number): JsonObject {
  const data = models.map((model) => describeModel(model, shape, startedAtMs));
  if (shape === 'openai') return { object: 'list', data };
  const first = models[0]?.name ?? null;
  return { data, has_more: false, first_id: first, last_id: models.at(-1)?.name ?? null };
}

/** One of them. */
export function describeModel(
  { name, member }: Pick<Capability<ToolDefinition>, 'name' | 'member'>,
  shape: ListShape,
  startedAtMs: number,
): JsonObject {
  const { config } = member;
  const { contextWindow, maxOutputTokens } = config.transport.type === 'model' ? config.transport : noLengths;
  // It can be called as soon as its setup is complete; until then it answers so.
  const more = member.upstream.health().state === 'down' ? { ...moreOf(config), ready: false } : moreOf(config);
  if (shape === 'anthropic')
    return {
      type: 'model',
      id: name,
      created_at: new Date(startedAtMs).toISOString(),
      max_input_tokens: contextWindow ?? null,
      max_tokens: maxOutputTokens ?? null,
      ...more,
    };
  return { id: name, object: 'model', created: Math.floor(startedAtMs / 1000), owned_by: config.namespace, ...more };
}

const noLengths = { contextWindow: undefined, maxOutputTokens: undefined };

/** What neither shape has a place for, or only one; clients leave out what they do not know. */
function moreOf({ title, name, description, transport }: UpstreamConfig): JsonObject {
  const more: JsonObject = { display_name: title ?? name };
  if (description !== undefined) more.description = description;
  if (transport.type !== 'model') return more;
  const { contextWindow, maxOutputTokens, can, aliases } = transport;
  if (contextWindow !== undefined) more.context_window = contextWindow;
  if (maxOutputTokens !== undefined) more.max_output_tokens = maxOutputTokens;
  return { ...more, abilities: [...can], aliases: [...aliases] };
}
