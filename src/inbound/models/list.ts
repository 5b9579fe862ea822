import type { Capability } from '../../catalog/catalog.ts';
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
  if (shape === 'anthropic')
    return { type: 'model', id: name, display_name: config.title ?? name, created_at: new Date(startedAtMs).toISOString() };
  return { id: name, object: 'model', created: Math.floor(startedAtMs / 1000), owned_by: config.namespace };
}
