import { foldText } from '../content/fold.ts';

const twins: readonly (readonly [RegExp, string])[] = [
  [/rn/g, 'm'],
  [/vv/g, 'w'],
  [/[1i|]/g, 'l'],
  [/0/g, 'o'],
  [/5/g, 's'],
  [/8/g, 'b'],
];

/** A name as the eye takes it in: names with one skeleton can be mistaken for one another (compare Unicode TR39). */
export function skeleton(name: string): string {
  // Latin letters around it make lookalikes of other alphabets count as what they look like.
  let text = foldText(`a${name.slice(0, 256)}a`)
    .text.slice(1, -1)
    .toLowerCase();
  text = text.replaceAll(/[^\p{L}\p{N}]/gu, '');
  for (const [pattern, letter] of twins) text = text.replaceAll(pattern, letter);
  return text;
}

/** A capability that is there already. */
export interface Neighbour {
  /** `namespace/upstream`. */
  readonly upstream: string;
  readonly namespace: string;
  /** As its upstream calls it. */
  readonly name: string;
}

/** What is there, by what can be mistaken for it and by what a text would call it. */
export interface Neighbourhood {
  readonly bySkeleton: ReadonlyMap<string, readonly Neighbour[]>;
  readonly byName: ReadonlyMap<string, readonly Neighbour[]>;
}

export function makeNeighbourhood(neighbours: Iterable<Neighbour>): Neighbourhood {
  const builder = buildNeighbourhood();
  for (const neighbour of neighbours) builder.add(neighbour);
  return builder;
}

/** One that grows. */
export function buildNeighbourhood(): Neighbourhood & { add(neighbour: Neighbour): void } {
  const [bySkeleton, byName] = [new Map<string, Neighbour[]>(), new Map<string, Neighbour[]>()];
  const put = (map: Map<string, Neighbour[]>, key: string, neighbour: Neighbour) => {
    const known = map.get(key);
    if (known === undefined) map.set(key, [neighbour]);
    else known.push(neighbour);
  };
  return {
    bySkeleton,
    byName,
    add(neighbour) {
      put(bySkeleton, skeleton(neighbour.name), neighbour);
      put(byName, neighbour.name, neighbour);
    },
  };
}
