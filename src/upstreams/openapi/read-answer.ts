/** What an operation answers when it succeeds. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { rankMedia } from './choose-media.ts';
import type { SchemaPart, Schemas } from './convert-schema.ts';
import type { DocumentFormat } from './document-format.ts';
import type { RawOperation } from './list-operations.ts';
import { mediaKind } from './media-types.ts';
import { childOf, type Place, type References } from './references.ts';
import { readTypes } from './schema-keywords.ts';
import { stringsIn } from './text.ts';

export interface ReadAnswer {
  readonly accept: readonly string[];
  readonly isWrapped: boolean;
  /** Of the answer, wrapped where it is no object; undefined where it is no JSON or nothing is known of it. */
  readonly part: SchemaPart | undefined;
}

export interface AnswerContext {
  readonly references: References;
  readonly outputs: Schemas;
  readonly family: DocumentFormat['family'];
  /** Swagger 2.0: `produces` of the document. */
  readonly produces: Json | undefined;
  readonly report: (pointer: string, message: string) => void;
}

export function readAnswer(operation: RawOperation, context: AnswerContext): ReadAnswer {
  const media = successes(operation, context).flatMap((place) => mediaOf(operation, place, context));
  const isJson = ({ type }: AnswerMedia) => mediaKind(type) === 'json';
  const ordered = [...media.filter(isJson), ...media.filter((one) => !isJson(one))];
  const accept = [...new Set(ordered.map(({ type }) => type))];
  const schemas = operation.method === 'HEAD' ? [] : media.filter(isJson).flatMap(({ schema }) => schema ?? []);
  return { accept, ...combine(schemas, context) };
}

interface AnswerMedia {
  readonly type: string;
  readonly schema: Place | undefined;
}

/** Responses of success; without any, what is answered by default. */
function successes({ place, raw }: RawOperation, { references, report }: AnswerContext): Place[] {
  const { responses } = raw;
  if (!isObject(responses)) return [];
  const at = childOf(place, 'responses', responses);
  const codes = Object.keys(responses).filter((code) => /^2(\d\d|XX)$/i.test(code));
  const chosen = codes.length === 0 && Object.hasOwn(responses, 'default') ? ['default'] : codes.sort();
  return chosen.flatMap((code) => {
    const response = childOf(at, code, responses[code] ?? null);
    const followed = references.follow(response);
    if (followed.kind === 'found') return [followed.place];
    report(response.pointer, `This answer refers to something ${followed.why}; nothing is known of it.`);
    return [];
  });
}

function mediaOf({ raw }: RawOperation, place: Place, context: AnswerContext): AnswerMedia[] {
  if (!isObject(place.value)) return [];
  if (context.family === '2.0') {
    if (place.value.schema === undefined) return [];
    const schema = childOf(place, 'schema', place.value.schema);
    const types = stringsIn(raw.produces ?? context.produces);
    return (types.length === 0 ? ['application/json'] : types).map((type) => ({ type, schema }));
  }
  const content = childOf(place, 'content', place.value.content ?? null);
  return rankMedia(content, context.references, context.report).map(({ contentType, schema }) => ({ type: contentType, schema }));
}

const mostAlternatives = 4;

/** One schema for all answers: the same in several media types or statuses counts once. */
function combine(places: readonly Place[], { outputs, references }: AnswerContext): Pick<ReadAnswer, 'isWrapped' | 'part'> {
  const distinct = new Map<string, { readonly place: Place; readonly part: SchemaPart }>();
  for (const place of places) {
    const part = outputs.convert(place);
    distinct.set(JSON.stringify(part.schema), { place, part });
  }
  const all = [...distinct.values()];
  const saysNothing = all.some(({ part }) => !isObject(part.schema) || Object.keys(part.schema).length === 0);
  if (all.length === 0 || all.length > mostAlternatives || saysNothing) return { isWrapped: false, part: undefined };
  const isWrapped = !all.every(({ place }) => isObjectSchema(place, references));
  const names = new Set(all.flatMap(({ part }) => [...part.references]));
  const [first] = all;
  const schema: Json =
    all.length === 1 && first !== undefined ? first.part.schema : { anyOf: all.map(({ part }) => part.schema) };
  return { isWrapped, part: { schema: isWrapped ? wrap(schema) : schema, references: names } };
}

function wrap(schema: Json): JsonObject {
  return { type: 'object', properties: { result: schema } };
}

/** Whether a value of the schema is an object, as far as its description is right. */
function isObjectSchema(place: Place, references: References, depth = 0): boolean {
  const followed = references.follow(place);
  if (followed.kind === 'missing' || !isObject(followed.place.value) || depth > 20) return false;
  const { value } = followed.place;
  const { types } = readTypes(value.type);
  if (types.length > 0) return types.every((type) => type === 'object' || type === 'null') && types.includes('object');
  if (isObject(value.properties) || isObject(value.additionalProperties)) return true;
  const inner = (part: Json) => isObjectSchema({ ...followed.place, value: part }, references, depth + 1);
  if (Array.isArray(value.allOf) && value.allOf.some(inner)) return true;
  const alternatives = [value.anyOf, value.oneOf].find((list) => Array.isArray(list) && list.length > 0);
  return Array.isArray(alternatives) && alternatives.every(inner);
}
