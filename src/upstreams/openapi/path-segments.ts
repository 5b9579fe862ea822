import type { Json } from '../../wire/json.ts';
import { encodePathValue, type Style } from './encode-parameter.ts';
import { Refusal } from './refusal.ts';

/** How a value comes into a path. */
export interface PathParameter extends Style {
  readonly argument: string;
  readonly name: string;
  /** Its value as text, where it is no style that writes it. */
  readonly write: ((value: Json) => string) | undefined;
}

type Piece = string | PathParameter;

/** One `/`-separated part of a template: text as it is, and values. */
export type Segment = string | readonly Piece[];

/** `/pets/{id}/photo` in parts. Undefined where the template names a parameter that is not described. */
export function parseTemplate(path: string, parameters: readonly PathParameter[]): readonly Segment[] | undefined {
  const segments: Segment[] = [];
  for (const text of path.split('/').slice(path.startsWith('/') ? 1 : 0)) {
    const pieces: Piece[] = [];
    for (const [at, part] of text.split(/\{([^{}]*)\}/).entries()) {
      if (at % 2 === 0) {
        if (part !== '') pieces.push(literal(part));
        continue;
      }
      const parameter = parameters.find(({ name }) => name === part);
      if (parameter === undefined) return undefined;
      pieces.push(parameter);
    }
    const [first] = pieces;
    if (pieces.length === 0) segments.push('');
    else segments.push(pieces.length === 1 && typeof first === 'string' ? first : pieces);
  }
  return segments;
}

/** What stands between parameters is as its author wrote it; what no path may hold is encoded. */
function literal(text: string): string {
  return encodeURI(text)
    .replaceAll(/%25([0-9A-Fa-f]{2})/g, '%$1')
    .replaceAll(/[?#]/g, encodeURIComponent);
}

/**
 * The path of one call: as many segments as the template has, none of which a far end, or a proxy before it, reads as "here", "up" or
 * nothing. Throws Refusal.
 */
export function fillPath(segments: readonly Segment[], givenFor: (parameter: PathParameter) => Json): string {
  let path = '';
  for (const segment of segments) path += `/${typeof segment === 'string' ? segment : fillSegment(segment, givenFor)}`;
  return path;
}

function fillSegment(pieces: readonly Piece[], givenFor: (parameter: PathParameter) => Json): string {
  let text = '';
  let argument = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      text += piece;
      continue;
    }
    argument = piece.argument;
    const value = givenFor(piece);
    refuseClimbing(argument, value);
    const encoded =
      piece.write === undefined ? encodePathValue(piece.name, piece, value) : encodeURIComponent(piece.write(value));
    text += encoded;
  }
  if (text === '')
    throw new Refusal(`The argument "${argument}" is empty, but it stands in the path of the request; give it a value.`);
  // Two values that are harmless by themselves may not be beside each other: "%2" and "e%2e".
  if (isClimbing(text)) throw climbing(argument);
  return text;
}

// Some servers decode %2F before they look at a path, some decode it twice: what would then climb is not sent at all.
function refuseClimbing(argument: string, value: Json): void {
  if (typeof value === 'string') {
    if (isClimbing(value)) throw climbing(argument);
  } else if (Array.isArray(value)) {
    for (const item of value) refuseClimbing(argument, item);
  } else if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) refuseClimbing(argument, item);
  }
}

/** Whether whoever decodes a text a few times, and looks at it as a path then, goes up in it or stays. */
export function isClimbing(text: string): boolean {
  if (text.includes('\0')) return true;
  let decoded = text;
  for (let round = 0; round < 4; round++) {
    if (decoded.includes('.') && /(^|[/\\])\.\.?(;[^/\\]*)?([/\\]|$)/.test(decoded)) return true;
    if (!decoded.includes('%')) return false;
    const next = decoded.replaceAll(/%([0-9A-Fa-f]{2})/g, (_whole, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (next.includes('\0')) return true;
    if (next === decoded) return false;
    decoded = next;
  }
  return false;
}

function climbing(argument: string): Refusal {
  return new Refusal(
    `The argument "${argument}" would lead to another address: it stands in the path of the request and may not be ".", ".." or hold such a part. Give the plain value.`,
  );
}
