/** Worked examples of the document, as arguments of the tool. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { collectMembers } from './choose-media.ts';
import type { Operation } from './conversion.ts';
import { isHidden } from './hidden-members.ts';
import type { Body } from './read-body.ts';
import type { Parameter } from './read-parameters.ts';
import { childOf, type References } from './references.ts';
import { textOf } from './text.ts';

export interface NamedParameter extends Parameter {
  readonly argument: string;
}

interface BodyExample {
  readonly summary: string | undefined;
  readonly value: Json;
}

const mostExamples = 3;
const exampleBytes = 4_096;

/** Only whole ones: each has every argument that is required. */
export function readExamples(
  parameters: readonly NamedParameter[],
  body: (Body & { readonly argument: string }) | undefined,
  references: References,
): Operation['examples'] {
  const values = parameterExamples(parameters);
  if (values === undefined) return [];
  const bodies = body === undefined ? [] : bodyExamples(body, references);
  if (body !== undefined && bodies.length > 0) {
    return bodies
      .map(({ summary, value }) => ({ summary, arguments: { ...values, [body.argument]: value } }))
      .filter(isShort)
      .slice(0, mostExamples);
  }
  if (body?.plan.isRequired === true || Object.keys(values).length === 0) return [];
  return [{ summary: undefined, arguments: values }].filter(isShort);
}

function isShort(example: { readonly arguments: JsonObject }): boolean {
  return JSON.stringify(example.arguments).length <= exampleBytes;
}

/** Undefined where one that is required has none. */
function parameterExamples(parameters: readonly NamedParameter[]): JsonObject | undefined {
  const values: JsonObject = {};
  for (const parameter of parameters) {
    const [value] = parameter.examples.length > 0 ? parameter.examples : schemaExamples(parameter);
    if (value !== undefined) values[parameter.argument] = value;
    else if (parameter.isRequired) return undefined;
  }
  return values;
}

function schemaExamples({ schema }: Parameter): Json[] {
  if (schema === undefined || !isObject(schema.value)) return [];
  const { example, examples, enum: values } = schema.value;
  if (example !== undefined) return [example];
  const listed = [examples, values].find((list) => Array.isArray(list) && list.length > 0);
  return Array.isArray(listed) ? listed.slice(0, 1) : [];
}

function bodyExamples({ media, plan }: Body, references: References): BodyExample[] {
  const { raw, place, schema } = media;
  const found: BodyExample[] = raw.example === undefined ? [] : [{ summary: undefined, value: raw.example }];
  for (const [name, value] of Object.entries(isObject(raw.examples) ? raw.examples : {}).slice(0, mostExamples)) {
    const followed = references.follow(childOf(place, name, value));
    const example = followed.kind === 'found' && isObject(followed.place.value) ? followed.place.value : {};
    const shown = example.value ?? example.dataValue;
    if (shown !== undefined) found.push({ summary: textOf(example.summary) ?? name, value: shown });
  }
  if (found.length === 0 && schema !== undefined) {
    const followed = references.follow(schema);
    const own = followed.kind === 'found' && isObject(followed.place.value) ? followed.place.value : {};
    const value = own.example ?? (Array.isArray(own.examples) ? own.examples[0] : undefined);
    if (value !== undefined) found.push({ summary: undefined, value });
  }
  return found.flatMap((example) => {
    const value = asArgument(example.value, { media, plan }, references);
    return value === undefined ? [] : [{ summary: example.summary?.slice(0, 200), value }];
  });
}

/** Undefined for what is no argument as it stands: files, and texts where an object belongs. */
function asArgument(value: Json, { media, plan }: Pick<Body, 'media' | 'plan'>, references: References): Json | undefined {
  if (plan.encoding === 'binary') return undefined;
  if (plan.encoding === 'text') return typeof value === 'string' ? value : undefined;
  if (!isObject(value)) return plan.encoding === 'json' && typeof value !== 'string' ? value : undefined;
  if (Object.values(plan.properties).some(({ isFile }) => isFile)) return undefined;
  if (media.schema === undefined) return value;
  const { members } = collectMembers(media.schema, references);
  const isSettable = (name: string) => {
    const member = members.get(name);
    return member === undefined || !isHidden(member.value, member.url, 'readOnly', references);
  };
  return Object.fromEntries(Object.entries(value).filter(([name]) => isSettable(name)));
}
