import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument, visit, type YAMLMap } from 'yaml';
import type { Problem } from './problems.ts';

/** Largest configuration file; a larger one is a mistake or an attack. */
export const fileLimitBytes = 1024 * 1024;

/** One YAML 1.2 document that knows where each of its values stands. */
export interface YamlFile {
  /** Undefined when there are problems. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where the entry at this path stands, or the nearest one above it that exists. */
  locate(path: readonly PropertyKey[]): { readonly file: string; readonly line: number; readonly column: number };
}

/** Reads one file's text. Duplicate keys, unknown tags, several documents and alias bombs are problems, not values. */
export function readYaml(text: string, file: string): YamlFile {
  const lines = new LineCounter();
  const position = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  let document: Document;
  try {
    document = parseDocument(text, { version: '1.2', uniqueKeys: true, lineCounter: lines, prettyErrors: false });
  } catch (error) {
    return unreadable({ file, line: 1, column: 1, message: `This file cannot be read as YAML: ${(error as Error).message}.` });
  }
  const locate = (path: readonly PropertyKey[]) => position(offsetOf(document, path));
  const problems = [
    ...[...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
      ...position(pos[0]),
      message:
        code === 'MULTIPLE_DOCS'
          ? 'A file holds one document; move what follows "---" into a file of its own.'
          : `This is not valid YAML: ${message}.`,
    })),
    ...findPrototypeKeys(document).map((offset) => ({
      ...position(offset),
      message: 'A key cannot be named "__proto__"; rename it.',
    })),
  ];
  if (problems.length > 0) return { value: undefined, problems, locate };
  try {
    return { value: document.toJS({ maxAliasCount: 100 }), problems: [], locate };
  } catch (error) {
    return unreadable({
      file,
      line: 1,
      column: 1,
      message: `The aliases (*name) in this file cannot be followed: ${(error as Error).message}.`,
    });
  }
}

function unreadable(problem: Problem & { file: string; line: number; column: number }): YamlFile {
  const { file, line, column } = problem;
  return { value: undefined, problems: [problem], locate: () => ({ file, line, column }) };
}

// JavaScript gives this key a meaning of its own, and checks made for plain keys overlook it.
function findPrototypeKeys(document: Document): number[] {
  const offsets: number[] = [];
  visit(document, {
    Pair: (_key, { key }) => {
      if (isScalar(key) && key.value === '__proto__') offsets.push(key.range?.[0] ?? 0);
    },
  });
  return offsets;
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

// A key is where a person looks for a wrong entry, whatever the form of its value; a list's items have no keys.
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = pairsOf(node).get(String(step));
      if (pair === undefined) return offset;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      const start = (node as { range?: readonly number[] } | undefined)?.range?.[0];
      if (start === undefined) return offset;
      offset = start;
    } else {
      return offset;
    }
  }
  return offset;
}
