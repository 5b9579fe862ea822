/** One YAML 1.2 document, and everything that is wrong with it, in a time that grows with its text and no faster. */
import { type Alias, type Document, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** What is wrong, as a sentence. */
interface Flaw {
  readonly offset: number;
  readonly message: string;
}

export interface ParsedYaml {
  readonly document: Document;
  /** At most `mostFlaws`. */
  readonly flaws: readonly (Place & { readonly message: string })[];
  /** Where the character at an offset stands. */
  place(offset: number): Place;
}

const mostFlaws = 200;

/** Throws what the library throws where it gives up. */
export function parseYaml(text: string): ParsedYaml {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document = withoutTraces(() =>
    parseDocument(text, {
      version: '1.2',
      // Its own check compares each key of a map with each other.
      uniqueKeys: false,
      // Sets, dates and the like are nothing that any of our formats has; ordered maps are checked as keys are.
      resolveKnownTags: false,
      customTags: (tags) => tags.filter((tag) => typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:omap'),
      lineCounter: lines,
      prettyErrors: false,
    }),
  );
  const { repeated, prototypes } = lookThrough(document);
  const flaws = [
    ...withRepeated([...document.errors, ...document.warnings].map(flawOf), repeated),
    ...prototypes.map((offset) => ({ offset, message: 'A key cannot be named "__proto__"; rename it.' })),
  ];
  const told = flaws.slice(0, mostFlaws).map(({ offset, message }) => ({ ...place(offset), message }));
  return { document, flaws: told, place };
}

/** Each flaw that the library finds is an Error, and where it was made takes longer to write down than it takes to find it. */
function withoutTraces<Made>(make: () => Made): Made {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function flawOf({ code, message, pos: [offset] }: Document['errors'][number] | Document['warnings'][number]): Flaw {
  const isSecond = code === 'MULTIPLE_DOCS';
  return {
    offset,
    message: isSecond
      ? 'A file holds one document; move what follows "---" into a file of its own.'
      : `This is not valid YAML: ${message}.`,
  };
}

/** Keys that are there twice, among the other flaws as they stand in the text. */
function withRepeated(flaws: readonly Flaw[], repeated: readonly number[]): readonly Flaw[] {
  const all: Flaw[] = [];
  let next = 0;
  const addUpTo = (end: number) => {
    for (; next < repeated.length && repeated[next]! <= end; next++)
      all.push({ offset: repeated[next]!, message: 'This is not valid YAML: Map keys must be unique.' });
  };
  for (const flaw of flaws) {
    addUpTo(flaw.offset);
    all.push(flaw);
  }
  addUpTo(Number.POSITIVE_INFINITY);
  return all;
}

/** Offsets, in the order of the text. */
interface WrongKeys {
  /** Keys that are in their map already. Lists and maps are no two of them the same. */
  readonly repeated: readonly number[];
  /** JavaScript gives `__proto__` a meaning of its own, and checks made for plain keys overlook it. */
  readonly prototypes: readonly number[];
}

function lookThrough(document: Document): WrongKeys {
  const repeated: number[] = [];
  const prototypes: number[] = [];
  const anchors = new Map<string, Node>();
  const note = (node: Node & { readonly anchor?: string }) => {
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
  };
  visit(document, {
    Alias: (_key, alias) => leadTo(alias, anchors.get(alias.source)),
    Scalar: (_key, scalar) => note(scalar),
    Seq: (_key, seq) => note(seq),
    Map: (_key, map) => {
      note(map);
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        // What is not a number is not itself either.
        if (!isScalar(key) || Number.isNaN(key.value)) continue;
        if (seen.has(key.value)) repeated.push(key.range?.[0] ?? 0);
        seen.add(key.value);
      }
    },
    Pair: (_key, { key }) => {
      if (isScalar(key) && key.value === '__proto__') prototypes.push(key.range?.[0] ?? 0);
    },
  });
  return { repeated: repeated.sort((one, other) => one - other), prototypes };
}

/**
 * Tells an alias where it leads: the library looks through all anchors of the document, each time it asks one. What else it does there
 * is left to it: it counts how often an anchor is followed.
 */
function leadTo(alias: Alias, target: Node | undefined): void {
  const { resolve } = alias;
  alias.resolve = (document, context) => {
    if (context === undefined) return target as ReturnType<typeof resolve>;
    // What it would look through.
    Reflect.set(context, 'aliasResolveCache', target === undefined ? [] : [target]);
    return Reflect.apply(resolve, alias, [document, context]);
  };
}
