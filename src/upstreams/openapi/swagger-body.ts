/** Bodies of Swagger 2.0: a parameter of its own, or several that are parts of a form. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { type ChosenMedia, rankMedia } from './choose-media.ts';
import { readCollectionFormat } from './parameter-styles.ts';
import { type Body, type BodyContext, describeBody } from './read-body.ts';
import { childOf, type Place } from './references.ts';
import { textOf } from './text.ts';

/** `consumes` of the operation, or of the document. */
export function readSwaggerBody(
  parameters: readonly Place[],
  consumes: readonly string[],
  context: BodyContext,
): Body | undefined {
  const body = parameters.find(({ value }) => isObject(value) && value.in === 'body');
  if (body !== undefined) return readWhole(body, consumes, context);
  return parameters.length === 0 ? undefined : readForm(parameters, consumes, context);
}

function readWhole(place: Place, consumes: readonly string[], context: BodyContext): Body | undefined {
  const raw = isObject(place.value) ? place.value : {};
  const types = consumes.length === 0 ? ['application/json'] : consumes;
  const shared: JsonObject = raw.schema === undefined ? {} : { schema: raw.schema };
  const content = Object.fromEntries(types.map((type) => [type, shared]));
  const [media] = rankMedia({ ...place, value: content }, context.references, context.report);
  if (media === undefined) return undefined;
  const schema = raw.schema === undefined ? undefined : childOf(place, 'schema', raw.schema);
  return describeBody({ ...media, schema }, raw.required === true, textOf(raw.description), context);
}

function readForm(parameters: readonly Place[], consumes: readonly string[], context: BodyContext): Body {
  const fields = parameters.flatMap(({ value }) => (isObject(value) && typeof value.name === 'string' ? [value] : []));
  const hasFiles = fields.some(({ type }) => type === 'file');
  const isMultipart =
    hasFiles || (!consumes.some((type) => type.includes('urlencoded')) && consumes.some((type) => type.includes('multipart')));
  const required = fields.filter((field) => field.required === true).map(({ name }) => name ?? null);
  const value: JsonObject = {
    type: 'object',
    properties: Object.fromEntries(fields.map((field) => [String(field.name), fieldSchema(field)])),
    required,
  };
  const place = { url: parameters[0]?.url ?? '', pointer: parameters[0]?.pointer ?? '', value };
  const media: ChosenMedia = {
    kind: isMultipart ? 'multipart' : 'form',
    contentType: isMultipart ? 'multipart/form-data' : 'application/x-www-form-urlencoded',
    place,
    raw: { encoding: Object.fromEntries(fields.flatMap(fieldEncoding)) },
    schema: place,
  };
  return describeBody(media, required.length > 0, undefined, context);
}

function fieldSchema({ required: _, in: _in, name: _name, ...schema }: JsonObject): Json {
  return schema;
}

function fieldEncoding(field: JsonObject): [string, Json][] {
  if (field.type !== 'array') return [];
  const multi = field.collectionFormat === 'multi';
  const { style, explode } = readCollectionFormat(field.collectionFormat, 'query');
  return [[String(field.name), { style, explode: multi || explode }]];
}
