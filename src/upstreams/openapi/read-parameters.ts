/** The parameters of an operation, those of its path included. Leaves out what a caller may not set. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { DocumentFormat } from './document-format.ts';
import { isToken, judgeHeader } from './header-names.ts';
import type { RawOperation } from './list-operations.ts';
import { isMediaType, mediaKind } from './media-types.ts';
import { isLocation, type ParameterLocation, readCollectionFormat, readStyle, type WritingStyle } from './parameter-styles.ts';
import { childOf, type Place, type References } from './references.ts';
import { textOf } from './text.ts';

export interface Parameter extends WritingStyle {
  readonly name: string;
  readonly in: ParameterLocation;
  readonly isRequired: boolean;
  readonly allowReserved: boolean;
  readonly allowEmptyValue: boolean;
  readonly contentType: string | undefined;
  readonly description: string | undefined;
  readonly isDeprecated: boolean;
  /** Undefined: the document says nothing of the value. */
  readonly schema: Place | undefined;
  readonly examples: readonly Json[];
}

export interface ParameterContext {
  readonly references: References;
  readonly family: DocumentFormat['family'];
  /** `in name` of what carries credentials. */
  readonly credentials: ReadonlySet<string>;
  /** Parameters that several operations refer to. */
  readonly shared: WeakMap<Place, Parameter>;
  readonly report: (pointer: string, message: string) => void;
}

export interface Parameters {
  readonly parameters: readonly Parameter[];
  /** Swagger 2.0: what is the body of the request, or parts of it. */
  readonly bodyParameters: readonly Place[];
}

export function readParameters(operation: RawOperation, context: ParameterContext): Parameters {
  const all = collectPlaces(operation, context);
  const isOld = context.family === '2.0';
  const isBody = ({ place: { value } }: FoundParameter) =>
    isOld && isObject(value) && (value.in === 'body' || value.in === 'formData');
  const parameters = all.flatMap((found) => (isBody(found) ? [] : (readFound(found, context) ?? [])));
  return {
    parameters: matchPath(operation, parameters, context),
    bodyParameters: all.filter(isBody).map(({ place }) => place),
  };
}

interface FoundParameter {
  readonly place: Place;
  /** Others may refer to it, too. */
  readonly isShared: boolean;
}

function readFound({ place, isShared }: FoundParameter, context: ParameterContext): Parameter | undefined {
  if (!isShared) return readParameter(place, context);
  const known = context.shared.get(place);
  if (known !== undefined) return known;
  const parameter = readParameter(place, context);
  if (parameter !== undefined) context.shared.set(place, parameter);
  return parameter;
}

/** The operation's own in the place of those of the path. */
function collectPlaces({ item, place, raw }: RawOperation, context: ParameterContext): FoundParameter[] {
  const found = new Map<string, FoundParameter>();
  for (const [owner, list] of [
    [item, item.value.parameters],
    [place, raw.parameters],
  ] as const) {
    if (!Array.isArray(list)) continue;
    for (const [index, value] of list.entries()) {
      const at = { url: owner.url, pointer: `${owner.pointer}/parameters/${index}`, value };
      const followed = context.references.follow(at);
      if (followed.kind === 'missing') {
        context.report(at.pointer, `This parameter refers to something ${followed.why}; it is left out.`);
        continue;
      }
      found.set(identify(followed.place.value), { place: followed.place, isShared: followed.place !== at });
    }
  }
  return [...found.values()];
}

function identify(value: Json): string {
  if (!isObject(value)) return '';
  const name = String(value.name);
  return `${value.in} ${value.in === 'header' ? name.toLowerCase() : name}`;
}

function readParameter(place: Place, context: ParameterContext): Parameter | undefined {
  const { value } = place;
  if (!isObject(value) || typeof value.name !== 'string' || !isLocation(value.in)) {
    context.report(place.pointer, 'This parameter has no name, or is in no place that there is; it is left out.');
    return undefined;
  }
  const { name, in: location } = value;
  if (context.credentials.has(`${location} ${location === 'header' ? name.toLowerCase() : name}`)) return undefined;
  if (location === 'header' && !isSettable(name, place, context)) return undefined;
  if (location === 'cookie' && !isToken(name)) {
    context.report(place.pointer, `"${name}" cannot be the name of a cookie; it is left out.`);
    return undefined;
  }
  const media = context.family === '2.0' ? undefined : mediaOf(place, value);
  const writing = context.family === '2.0' ? readCollectionFormat(value.collectionFormat, location) : readStyle(value, location);
  if (writing.refused !== undefined)
    context.report(place.pointer, `"${name}" cannot be written as "${writing.refused}"; it is written as "${writing.style}".`);
  return {
    ...writing,
    name,
    in: location,
    isRequired: value.required === true || location === 'path',
    allowReserved: value.allowReserved === true,
    allowEmptyValue: value.allowEmptyValue === true,
    contentType: media?.type,
    description: textOf(value.description),
    isDeprecated: value.deprecated === true,
    schema: media === undefined ? schemaOf(place, value, context.family) : media.schema,
    examples: examplesOf(place, media?.raw ?? value, context.references),
  };
}

function isSettable(name: string, { pointer }: Place, { report }: ParameterContext): boolean {
  const verdict = judgeHeader(name);
  if (verdict === 'reserved') report(pointer, `The header "${name}" is not for callers to set; it is left out.`);
  if (verdict === 'invalid') report(pointer, `"${name}" cannot be the name of a header; it is left out.`);
  return verdict === 'argument';
}

function schemaOf(place: Place, value: JsonObject, family: DocumentFormat['family']): Place | undefined {
  // In 2.0 the parameter is the schema, but for its description, which is shown with it.
  if (family === '2.0') {
    const { description: _, required: _required, example: _example, ...schema } = value;
    return { ...place, value: schema };
  }
  return value.schema === undefined ? undefined : childOf(place, 'schema', value.schema);
}

interface Media {
  readonly type: string;
  readonly schema: Place | undefined;
  readonly raw: JsonObject;
}

function mediaOf(place: Place, value: JsonObject): Media | undefined {
  if (!isObject(value.content)) return undefined;
  const content = childOf(place, 'content', value.content);
  const entries = Object.entries(value.content).filter(([type]) => isMediaType(type));
  const [type, raw] = entries.find(([candidate]) => mediaKind(candidate) === 'json') ?? entries[0] ?? [];
  if (type === undefined || !isObject(raw)) return undefined;
  const at = childOf(content, type, raw);
  return { type, schema: raw.schema === undefined ? undefined : childOf(at, 'schema', raw.schema), raw };
}

/** Of a parameter or a media type, in any of the forms there have been. */
function examplesOf(place: Place, raw: JsonObject, references: References): Json[] {
  const found: Json[] = [];
  const single = raw.example ?? raw['x-example'];
  if (single !== undefined) found.push(single);
  if (Array.isArray(raw.examples)) found.push(...raw.examples);
  else if (isObject(raw.examples)) {
    for (const [name, value] of Object.entries(raw.examples).slice(0, 10)) {
      const followed = references.follow(childOf(place, name, value));
      const example = followed.kind === 'found' ? followed.place.value : null;
      // OpenAPI 3.2 has `dataValue`.
      const shown = isObject(example) ? (example.value ?? example.dataValue) : undefined;
      if (shown !== undefined) found.push(shown);
    }
  }
  return found;
}

/** The names between braces. */
function variablesIn(path: string): string[] {
  const names: string[] = [];
  for (let open = path.indexOf('{'); open !== -1; open = path.indexOf('{', open + 1)) {
    const close = path.indexOf('}', open);
    const name = close === -1 ? '' : path.slice(open + 1, close);
    if (close !== -1 && !name.includes('{')) names.push(name);
  }
  return names;
}

/** Every variable of the path has its parameter, and every path parameter its variable. */
function matchPath({ path, place }: RawOperation, parameters: readonly Parameter[], context: ParameterContext): Parameter[] {
  const variables = new Set(variablesIn(path));
  const matched = parameters.flatMap((parameter) => {
    if (parameter.in !== 'path') return [parameter];
    const variable = variables.has(parameter.name)
      ? parameter.name
      : [...variables].find((name) => bare(name) === parameter.name);
    if (variable !== undefined) {
      variables.delete(variable);
      // RFC 6570: `{+name}` may hold slashes.
      return [{ ...parameter, name: variable, allowReserved: parameter.allowReserved || variable.startsWith('+') }];
    }
    context.report(place.pointer, `The path has no "{${parameter.name}}"; this parameter is left out.`);
    return [];
  });
  for (const name of variables)
    context.report(place.pointer, `The path parameter "${name}" is not described; it is taken as text.`);
  return [...matched, ...[...variables].map(undescribed)];
}

/** `+name`, `name*` and `name:pattern` as some descriptions have them. */
function bare(variable: string): string {
  return variable.replace(/^[+#./;?&]/, '').replace(/[*:].*$/, '');
}

function undescribed(name: string): Parameter {
  return {
    name,
    in: 'path',
    style: 'simple',
    explode: false,
    refused: undefined,
    isRequired: true,
    allowReserved: name.startsWith('+'),
    allowEmptyValue: false,
    contentType: undefined,
    description: undefined,
    isDeprecated: false,
    schema: { url: '', pointer: '', value: { type: 'string' } },
    examples: [],
  };
}
