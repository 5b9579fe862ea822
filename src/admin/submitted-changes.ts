import { compareDefinitions } from '../catalog/definition.ts';
import type { Content } from '../review/content.ts';
import type { DefinitionStore } from '../store/ports/definitions.ts';
import type { Json } from '../wire/json.ts';

/** Definitions that are shown in full with one submission; the rest is named. */
const mostShown = 500;

/** Every definition of a submission: in full where it is new, and place by place where it takes the place of an approved one. */
export async function compareSubmitted(definitions: DefinitionStore, content: Content) {
  const shown = content.definitions.slice(0, mostShown);
  const wanted = shown.flatMap(({ hash, approved }) => (approved === undefined ? [hash] : [hash, approved]));
  const bodies = new Map((await definitions.find(wanted)).map(({ hash, body }) => [hash, JSON.parse(body) as Json]));
  return content.definitions.map(({ kind, name, hash, why, approved, renamedFrom }, at) => {
    const base = { kind, name, hash, why, ...(renamedFrom === undefined ? {} : { renamedFrom }) };
    if (at >= mostShown) return base;
    const [after, before] = [bodies.get(hash), approved === undefined ? undefined : bodies.get(approved)];
    if (before === undefined) return { ...base, definition: after };
    return { ...base, definition: after, changes: compareDefinitions(before, after) };
  });
}
