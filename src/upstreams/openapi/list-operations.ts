/** Every operation of a document, each with where it stands. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { HttpMethod } from './conversion.ts';
import type { ProblemList } from './problem-list.ts';
import { childOf, type Place, type References } from './references.ts';
import { textOf } from './text.ts';

export interface RawOperation {
  /** `METHOD /path`. */
  readonly id: string;
  readonly method: HttpMethod;
  readonly path: string;
  readonly operationId: string | undefined;
  readonly place: Place;
  readonly raw: JsonObject;
  /** The path item; its parameters and servers are those of all its operations. */
  readonly item: Place & { readonly value: JsonObject };
}

const methods: ReadonlyMap<string, HttpMethod> = new Map([
  ['get', 'GET'],
  ['head', 'HEAD'],
  ['post', 'POST'],
  ['put', 'PUT'],
  ['patch', 'PATCH'],
  ['delete', 'DELETE'],
  ['options', 'OPTIONS'],
  ['trace', 'TRACE'],
  // OpenAPI 3.2.
  ['query', 'QUERY'],
]);

const longestPath = 2_000;

export function listOperations(document: JsonObject, references: References, problems: ProblemList): RawOperation[] {
  const paths: Place = { url: '', pointer: '/paths', value: document.paths ?? null };
  if (!isObject(paths.value)) {
    problems.add('changed', '', '/paths', 'The document has no paths, so that there are no tools.');
    return [];
  }
  return Object.entries(paths.value).flatMap(([path, value]) => {
    if (path.startsWith('x-')) return [];
    const place = childOf(paths, path, value);
    if (!path.startsWith('/') || path.length > longestPath || hasControls(path)) {
      problems.add('lost', path, place.pointer, 'A path begins with "/", is one line, and has at most 2,000 characters.');
      return [];
    }
    return operationsOf(path, place, references, problems);
  });
}

function operationsOf(path: string, place: Place, references: References, problems: ProblemList): RawOperation[] {
  const found = references.follow(place);
  const value = found.kind === 'found' ? found.place.value : undefined;
  if (found.kind === 'missing' || !isObject(value)) {
    const why = found.kind === 'missing' ? `refers to something ${found.why}` : 'is no object';
    problems.add('lost', path, place.pointer, `What stands under this path ${why}.`);
    return [];
  }
  // Beside a reference, 3.1 allows members of the item's own.
  const own = isObject(place.value) && place !== found.place ? { ...value, ...place.value } : value;
  const item = { ...found.place, value: own };
  if (isObject(own.additionalOperations)) {
    for (const method of Object.keys(own.additionalOperations))
      problems.add(
        'lost',
        `${method} ${path}`,
        `${item.pointer}/additionalOperations`,
        'Methods beyond those of HTTP are not sent.',
      );
  }
  return [...methods].flatMap(([key, method]) => {
    const raw = Object.hasOwn(own, key) ? own[key] : undefined;
    return raw === undefined ? [] : operationAt(`${method} ${path}`, method, path, childOf(item, key, raw), item, problems);
  });
}

function operationAt(
  id: string,
  method: HttpMethod,
  path: string,
  place: Place,
  item: RawOperation['item'],
  problems: ProblemList,
): RawOperation[] {
  const { value: raw } = place;
  if (!isObject(raw)) {
    problems.add('lost', id, place.pointer, 'An operation is an object.');
    return [];
  }
  return [{ id, method, path, operationId: textOf(raw.operationId), place, raw, item }];
}

function hasControls(text: Json): boolean {
  return typeof text === 'string' && /[\p{Cc}]/u.test(text);
}
