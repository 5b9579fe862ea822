/**
 * Schemas may contain themselves: a person has parents, who are persons. What no validator survives is a schema that has to be applied
 * to a value in order to apply it to the same value. Common is a base that lists its variants (`oneOf`) while each of these includes
 * the base (`allOf`). Here is which references close such a loop.
 */
import { isObject, type Json } from '../../wire/json.ts';
import { keyOf, type Place, type References } from './references.ts';
import { sameValueKeywords } from './schema-keywords.ts';

export interface SchemaLoops {
  /** Whether an alternative (`anyOf`, `oneOf`) of `owner` that refers to `target` leads back to `owner`. */
  isAlternativeLoop(owner: Place, target: Place): boolean;
  /** Whether `owner`, which always applies `target`, is always applied by it. */
  isLoop(owner: Place, target: Place): boolean;
}

export function findLoops(references: References): SchemaLoops {
  const edges = new Map<string, Edges>();
  const edgesOf = (place: Place): Edges => {
    const key = keyOf(place);
    const known = edges.get(key) ?? readEdges(place, references);
    edges.set(key, known);
    return known;
  };
  const loopOf = groupByLoop((place) => edgesOf(place).all);
  const strictLoopOf = groupByLoop((place) => edgesOf(place).always);
  return {
    isAlternativeLoop: (owner, target) => loopOf(owner) === loopOf(target),
    isLoop: (owner, target) => strictLoopOf(owner) === strictLoopOf(target),
  };
}

interface Edges {
  readonly all: readonly Place[];
  /** Without what stands in `anyOf` and `oneOf`. */
  readonly always: readonly Place[];
}

function readEdges(place: Place, references: References): Edges {
  const all = [...referencesToSameValue(place, references, true)];
  return { all, always: [...referencesToSameValue(place, references, false)] };
}

const depthLimit = 50;

/** What the schema refers to without going into the value that it describes. */
export function* referencesToSameValue(
  place: Place,
  references: References,
  withAlternatives: boolean,
  depth = 0,
): Generator<Place> {
  const { value, url } = place;
  if (!isObject(value) || depth > depthLimit) return;
  for (const reference of [value.$ref, value.$dynamicRef, value.$recursiveRef]) {
    const found = typeof reference === 'string' ? references.find(reference, url) : undefined;
    if (found?.kind === 'found') yield found.place;
  }
  for (const key of sameValueKeywords) {
    if (!withAlternatives && (key === 'anyOf' || key === 'oneOf')) continue;
    for (const part of partsOf(key, value[key])) {
      yield* referencesToSameValue({ ...place, value: part }, references, withAlternatives, depth + 1);
    }
  }
}

function partsOf(key: string, value: Json | undefined): readonly Json[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  return key === 'dependentSchemas' && isObject(value) ? Object.values(value) : [value];
}

/** Numbers the strongly connected components (Tarjan), without recursion: chains may be thousands long. */
function groupByLoop(next: (place: Place) => readonly Place[]): (place: Place) => number {
  const entered = new Map<string, number>();
  const lowest = new Map<string, number>();
  const groups = new Map<string, number>();
  const open: string[] = [];
  const frames: { readonly key: string; readonly children: readonly Place[]; at: number }[] = [];
  const enter = (place: Place) => {
    const key = keyOf(place);
    const order = entered.size;
    entered.set(key, order);
    lowest.set(key, order);
    open.push(key);
    frames.push({ key, children: next(place), at: 0 });
  };
  const lower = (key: string, order: number | undefined) =>
    lowest.set(key, Math.min(lowest.get(key) ?? 0, order ?? Number.POSITIVE_INFINITY));
  const leave = (key: string) => {
    frames.pop();
    if (lowest.get(key) === entered.get(key)) {
      for (let member = open.pop(); member !== undefined; member = open.pop()) {
        groups.set(member, entered.get(key) ?? 0);
        if (member === key) break;
      }
    }
    const parent = frames.at(-1);
    if (parent !== undefined) lower(parent.key, lowest.get(key));
  };
  return (start) => {
    const startKey = keyOf(start);
    if (!groups.has(startKey)) enter(start);
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const child = frame.children[frame.at++];
      if (child === undefined) leave(frame.key);
      else if (!entered.has(keyOf(child))) enter(child);
      else if (!groups.has(keyOf(child))) lower(frame.key, entered.get(keyOf(child)));
    }
    return groups.get(startKey) ?? -1;
  };
}
