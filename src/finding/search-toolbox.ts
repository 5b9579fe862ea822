import type { Capability, Toolbox } from '../catalog/catalog.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { readQuery } from './query.ts';
import { rank } from './rank.ts';
import type { Synonyms } from './synonyms.ts';
import { type View, viewOf } from './view.ts';

interface Entry {
  readonly capability: Capability<ToolDefinition>;
}

/** Callers with the same rights share a toolbox, and with it its view. */
const views = new WeakMap<Toolbox, Promise<View<Entry>>>();

/** The tools of a toolbox, as a caller sees it, that fit a question best, the best first. */
export async function searchToolbox(
  toolbox: Toolbox,
  question: string,
  limit: number,
  synonyms: Synonyms,
): Promise<readonly Capability<ToolDefinition>[]> {
  let view = views.get(toolbox);
  if (view === undefined) {
    view = viewOf(Array.from(toolbox.tools.values(), (capability) => ({ capability })));
    views.set(toolbox, view);
  }
  return rank(await view, readQuery(question, synonyms), limit).map(({ capability }) => capability);
}
