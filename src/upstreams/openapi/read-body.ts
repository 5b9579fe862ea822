/** The body of a request: one argument, whole. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { type ChosenMedia, collectMembers, isFileSchema, itemsOf, rankMedia } from './choose-media.ts';
import type { BodyPlan, PropertyPlan } from './conversion.ts';
import type { SchemaPart, Schemas } from './convert-schema.ts';
import { isHidden } from './hidden-members.ts';
import type { RawOperation } from './list-operations.ts';
import { mediaKind } from './media-types.ts';
import { readStyle } from './parameter-styles.ts';
import { childOf, type Place, type References } from './references.ts';
import { textOf } from './text.ts';

export interface Body {
  readonly plan: Omit<BodyPlan, 'argument'>;
  readonly description: string | undefined;
  readonly part: SchemaPart;
  readonly media: ChosenMedia;
}

export interface BodyContext {
  readonly references: References;
  readonly inputs: Schemas;
  readonly report: (pointer: string, message: string) => void;
}

/** Undefined where there is none, or none that can be sent. */
export function readBody(operation: RawOperation, context: BodyContext): Body | undefined {
  const { requestBody } = operation.raw;
  if (requestBody === undefined) return undefined;
  const at = childOf(operation.place, 'requestBody', requestBody);
  const followed = context.references.follow(at);
  if (followed.kind === 'missing' || !isObject(followed.place.value)) {
    const why = followed.kind === 'missing' ? `refers to something ${followed.why}` : 'is no object';
    context.report(at.pointer, `The body ${why}; requests are sent without one.`);
    return undefined;
  }
  const { value } = followed.place;
  const content = childOf(followed.place, 'content', value.content ?? null);
  const [media] = rankMedia(content, context.references, context.report);
  if (media === undefined) {
    context.report(at.pointer, 'The body has no media type that can be sent; requests are sent without one.');
    return undefined;
  }
  if (operation.method === 'HEAD' || operation.method === 'TRACE') {
    context.report(at.pointer, `A ${operation.method} request has no body; it is left out.`);
    return undefined;
  }
  return describeBody(media, value.required === true, textOf(value.description), context);
}

export function describeBody(
  media: ChosenMedia,
  isRequired: boolean,
  description: string | undefined,
  context: BodyContext,
): Body {
  const { kind, contentType } = media;
  const shape = { isRequired, contentType, encoding: kind };
  const members = kind === 'form' || kind === 'multipart' ? describeMembers(media, context) : undefined;
  const part = members?.part ?? describeWhole(media, context);
  return { plan: { ...shape, properties: members?.properties ?? {} }, description, part, media };
}

const anything: ReadonlySet<string> = new Set();

function describeWhole({ kind, contentType, schema }: ChosenMedia, { inputs, references }: BodyContext): SchemaPart {
  if (kind === 'binary') return { schema: fileSchema, references: anything };
  if (kind === 'json') return schema === undefined ? { schema: {}, references: anything } : inputs.convert(schema);
  const followed = schema === undefined ? undefined : references.follow(schema);
  const isText = followed?.kind === 'found' && isObject(followed.place.value) && followed.place.value.type === 'string';
  if (isText && !isFileSchema(followed.place, references)) return inputs.convert(followed.place);
  return {
    schema: { type: 'string', contentMediaType: contentType, description: `Text as ${contentType}.` },
    references: anything,
  };
}

/** How bytes stand in arguments. */
const fileSchema: JsonObject = {
  type: 'object',
  description: 'A file.',
  properties: {
    data: { type: 'string', contentEncoding: 'base64', description: 'Its bytes in base64.' },
    filename: { type: 'string' },
    contentType: { type: 'string' },
  },
  required: ['data'],
  additionalProperties: false,
};

interface DescribedMembers {
  readonly part: SchemaPart;
  readonly properties: Record<string, PropertyPlan>;
}

function describeMembers(media: ChosenMedia, context: BodyContext): DescribedMembers {
  const { references: all } = context;
  const names = new Set<string>();
  const found = media.schema === undefined ? undefined : collectMembers(media.schema, all);
  const schemas: [string, Json][] = [];
  const plans: [string, PropertyPlan][] = [];
  for (const [name, place] of found?.members ?? []) {
    if (isHidden(place.value, place.url, 'readOnly', all)) continue;
    const encoding = encodingOf(media.raw, name);
    const files = media.kind === 'multipart' ? filesIn(place, encoding, all) : 'none';
    const part = files === 'none' ? context.inputs.convert(place) : undefined;
    for (const reference of part?.references ?? []) names.add(reference);
    schemas.push([name, part?.schema ?? describeFiles(place, files)]);
    const plan = planProperty(encoding, files !== 'none');
    if (plan !== undefined) plans.push([name, plan]);
  }
  const required = [...(found?.required ?? [])].filter((name) => schemas.some(([known]) => known === name));
  const schema: JsonObject = { type: 'object', properties: Object.fromEntries(schemas) };
  if (required.length > 0) schema.required = required;
  if (found?.isOpen === false) schema.additionalProperties = false;
  return { part: { schema, references: names }, properties: Object.fromEntries(plans) };
}

function encodingOf(media: JsonObject, name: string): JsonObject | undefined {
  const all = media.encoding;
  const encoding = isObject(all) && Object.hasOwn(all, name) ? all[name] : undefined;
  return isObject(encoding) ? encoding : undefined;
}

function filesIn(place: Place, encoding: JsonObject | undefined, references: References): 'none' | 'one' | 'many' {
  if (isFileSchema(place, references)) return 'one';
  const items = itemsOf(place, references);
  if (items !== undefined && isFileSchema(items, references)) return 'many';
  // OpenAPI 3.1: the schema may be empty where the encoding says that these are bytes.
  const type = typeof encoding?.contentType === 'string' ? (encoding.contentType.split(',')[0] ?? '') : undefined;
  const isBytes =
    type !== undefined && mediaKind(type) === 'binary' && isObject(place.value) && Object.keys(place.value).length === 0;
  return isBytes ? 'one' : 'none';
}

function describeFiles({ value }: Place, files: 'one' | 'many' | 'none'): Json {
  const description = isObject(value) ? textOf(value.description) : undefined;
  const own = description === undefined ? {} : { description };
  return files === 'many' ? { type: 'array', items: fileSchema, ...own } : { ...fileSchema, ...own };
}

function planProperty(encoding: JsonObject | undefined, isFile: boolean): PropertyPlan | undefined {
  if (encoding === undefined && !isFile) return undefined;
  const contentType = textOf(encoding?.contentType)?.split(',', 1)[0]?.trim();
  const isStyled = encoding?.style !== undefined || encoding?.explode !== undefined;
  const { style, explode } = readStyle(encoding ?? {}, 'query');
  return {
    // A list or a range of types is a choice, which the caller's file makes.
    contentType: contentType?.includes('*') ? undefined : contentType,
    isFile,
    style: isStyled ? style : undefined,
    explode: isStyled ? explode : undefined,
    allowReserved: encoding?.allowReserved === true,
  };
}
