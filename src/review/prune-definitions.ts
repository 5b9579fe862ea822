import type { Registry } from '../registry/registry.ts';
import type { DefinitionStore } from '../store/ports/definitions.ts';
import { readContent } from './content.ts';

/** A submission that is being written has its texts before its document. */
const keptMs = 7 * 24 * 60 * 60_000;

/** Removes definitions and texts that no pin and no submission points to any more. Returns how many. */
export async function pruneDefinitions(registry: Registry, definitions: DefinitionStore, nowMs: number): Promise<number> {
  const pointedTo = new Set<string>();
  for (const { body } of registry.list('pin')) for (const [, hash] of [...body.tools, ...body.prompts]) pointedTo.add(hash);
  for (const { body } of registry.list('submission')) {
    pointedTo.add(body.content).add(body.assessment);
    const content = await readContent(definitions, body.content).catch(() => undefined);
    for (const { hash, approved } of content?.definitions ?? []) {
      pointedTo.add(hash);
      if (approved !== undefined) pointedTo.add(approved);
    }
  }
  return await definitions.prune(nowMs - keptMs, pointedTo);
}
