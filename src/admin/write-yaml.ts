import { stringify } from 'yaml';
import { takeTurns } from '../turns.ts';
import { isObject } from '../wire/json.ts';

// Nothing is folded: a long line is one value to whoever compares two texts.
const options = { lineWidth: 0, aliasDuplicateObjects: false } as const;
/** Maps and lists within one another that are written entry by entry: namespaces, each, its toolboxes, each. */
const depth = 4;

/** A value as YAML, written entry by entry in turns with everybody else's work. */
export async function writeYaml(value: object): Promise<string> {
  const turn = takeTurns();
  const pieces: string[] = [];
  for (const piece of piecesOf(value, depth)) {
    pieces.push(piece);
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  return pieces.join('');
}

function* piecesOf(value: unknown, levels: number): Generator<string> {
  if (levels > 0 && Array.isArray(value) && value.length > 0) {
    for (const item of value) yield* itemPieces(item, levels);
  } else if (levels > 0 && isObject(value) && Object.keys(value).length > 0) {
    for (const [key, part] of Object.entries(value)) yield* entryPieces(key, part, levels);
  } else yield stringify(value, options);
}

function* itemPieces(item: unknown, levels: number): Generator<string> {
  if (!isLong(item)) {
    yield stringify([item], options);
    return;
  }
  let lead = '- ';
  for (const piece of piecesOf(item, levels - 1)) {
    yield lead + indented(piece).slice(2);
    lead = '  ';
  }
}

function* entryPieces(key: string, part: unknown, levels: number): Generator<string> {
  const head = stringify({ [key]: null }, options);
  // A key that does not fit into its line is written in another way.
  if (!isLong(part) || !head.endsWith(': null\n') || head.startsWith('?')) {
    yield stringify({ [key]: part }, options);
    return;
  }
  yield head.replace(/ null\n$/, '\n');
  for (const piece of piecesOf(part, levels - 1)) yield indented(piece);
}

function isLong(value: unknown): boolean {
  return (isObject(value) && Object.keys(value).length > 0) || (Array.isArray(value) && value.length > 0);
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ');
}
