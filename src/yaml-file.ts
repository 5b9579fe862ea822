import { type Document, isAlias, isMap, isScalar, isSeq, type Pair, type YAMLMap } from 'yaml';
import type { Problem } from './problems.ts';
import { type ParsedYaml, type Place, parseYaml } from './yaml-document.ts';

/** Largest configuration file; a larger one is a mistake or an attack. */
export const fileLimitBytes = 1024 * 1024;

/** One YAML 1.2 document that knows where each of its values stands. */
export interface YamlFile {
  /** Undefined when there are problems. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where the entry at this path stands, or the nearest one above it that exists. */
  locate(path: readonly PropertyKey[]): Place & { readonly file: string };
}

/** Reads one file's text. Duplicate keys, unknown tags, several documents and alias bombs are problems, not values. */
export function readYaml(text: string, file: string): YamlFile {
  const { value, problems, parsed } = read(text, file);
  if (parsed === undefined) return { value, problems, locate: () => ({ file, line: 1, column: 1 }) };
  const { document, place } = parsed;
  return { value, problems, locate: (path) => ({ file, ...place(path.reduce<Spot>(step, beginning(document)).offset) }) };
}

/** The same, with the places of all values at once. */
export interface PlacedYaml {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of each value, in the order in which `Object.keys` walks through them: line, column, and how many there are with all in it. */
  readonly places: Int32Array<ArrayBuffer>;
}

/** What aliases repeat counts each time. */
const mostPlaces = 1_000_000;

export function readPlacedYaml(text: string, file: string): PlacedYaml {
  const { value, problems, parsed } = read(text, file);
  const nowhere = Int32Array.of(1, 1, 1);
  if (parsed === undefined) return { value, problems, places: nowhere };
  const places: number[] = [];
  const visit = (part: unknown, spot: Spot) => {
    const at = places.length;
    const { line, column } = parsed.place(spot.offset);
    places.push(line, column, 1);
    if (typeof part !== 'object' || part === null || places.length > mostPlaces * 3) return;
    for (const [key, inner] of Object.entries(part)) visit(inner, step(spot, key));
    places[at + 2] = (places.length - at) / 3;
  };
  visit(value, beginning(parsed.document));
  return { value, problems, places: places.length > mostPlaces * 3 ? nowhere : Int32Array.from(places) };
}

interface Read {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Undefined where nothing in it can be found. */
  readonly parsed: ParsedYaml | undefined;
}

function read(text: string, file: string): Read {
  const unreadable = (message: string): Read => ({
    value: undefined,
    problems: [{ file, line: 1, column: 1, message }],
    parsed: undefined,
  });
  let parsed: ParsedYaml;
  try {
    parsed = parseYaml(text);
  } catch (error) {
    return unreadable(`This file cannot be read as YAML: ${(error as Error).message}.`);
  }
  if (parsed.flaws.length > 0) return { value: undefined, problems: parsed.flaws.map((flaw) => ({ file, ...flaw })), parsed };
  try {
    return { value: parsed.document.toJS({ maxAliasCount: 100 }), problems: [], parsed };
  } catch (error) {
    return unreadable(`The aliases (*name) in this file cannot be followed: ${(error as Error).message}.`);
  }
}

/** A place in a document: the node that stands there, where one does, and its offset or that of the nearest above it. */
interface Spot {
  readonly document: Document;
  readonly node: unknown;
  readonly offset: number;
}

function beginning(document: Document): Spot {
  return { document, node: document.contents, offset: document.contents?.range?.[0] ?? 0 };
}

// A key is where a person looks for a wrong entry, whatever the form of its value; a list's items have no keys.
function step({ document, node, offset }: Spot, key: PropertyKey): Spot {
  const parent = isAlias(node) ? node.resolve(document) : node;
  if (isMap(parent)) {
    const pair = pairsOf(parent).get(String(key));
    const start = isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
    return { document, node: pair?.value, offset: start ?? offset };
  }
  const item: unknown = isSeq(parent) ? parent.items[Number(key)] : undefined;
  const start = (item as { range?: readonly number[] } | undefined)?.range?.[0];
  return { document, node: start === undefined ? undefined : item, offset: start ?? offset };
}

const indexed = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();

/** The first of each name. A map may be long, and each of its entries be asked for. */
function pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
  let pairs = indexed.get(map);
  if (pairs === undefined) {
    const named = map.items.flatMap((pair) => (isScalar(pair.key) ? [[String(pair.key.value), pair as Pair] as const] : []));
    pairs = new Map(named.reverse());
    indexed.set(map, pairs);
  }
  return pairs;
}
