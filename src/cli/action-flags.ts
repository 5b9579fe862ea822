import { z } from 'zod';
import type { Action } from '../admin/action.ts';
import { actions } from '../admin/actions.ts';
import { isObject, type JsonObject } from '../wire/json.ts';

/** How the text behind a flag is read. `list`: the flag is repeated, once per item. `structure`: JSON, or a file of it. `file`: the text of a file. */
type Shape = 'file' | 'text' | 'number' | 'switch' | 'list' | 'structure' | 'either';

/** One input of an action, as the command line has it. */
export interface Flag {
  /** As the action calls it: `isDisabled`. */
  readonly key: string;
  /** Without dashes: `is-disabled`. */
  readonly name: string;
  readonly shape: Shape;
  /** Of the items, where it is a list. */
  readonly itemShape: 'text' | 'number';
  readonly isRequired: boolean;
  /** May be set to null, which `--no-<name>` does. */
  readonly isNullable: boolean;
  /** Is read from standard input or a file: everybody on this machine can see the flags of a process. */
  readonly isSecret: boolean;
  /** Stands before the flags, without a name. */
  readonly isPositional: boolean;
  readonly description: string;
  readonly choices: readonly string[];
  /** As JSON. */
  readonly fallback: string | undefined;
}

/**
 * Every input of an action. Those that name what it is about come first, and may be given without their own names. `fileInput` is the one
 * whose text is in a file that the first word names.
 */
export function flagsOf(action: Pick<Action, 'name' | 'route' | 'input'>, fileInput?: string): readonly Flag[] {
  const { properties = {}, required = [] } = z.toJSONSchema(action.input, { io: 'input', unrepresentable: 'any' }) as Schema;
  const positional = fileInput === undefined ? nameOf(action.route, Object.keys(properties), required) : [fileInput];
  const keys = [...positional, ...Object.keys(properties).filter((key) => !positional.includes(key))];
  return keys.map((key) => {
    const flag = flagOf(action.name, key, properties[key] ?? {}, required.includes(key), positional.includes(key));
    return key === fileInput ? { ...flag, name: 'file', shape: 'file' } : flag;
  });
}

/** The inputs that name what an action is about: as its own path has them, as those of actions on the same things do, or as upstreams are named. */
function nameOf(route: string, keys: readonly string[], required: readonly string[]): readonly string[] {
  const thing = /^\w+ (\/[\w-]+)/.exec(route)?.[1] ?? route;
  const others = actions.map((action) => action.route).filter((other) => other.includes(` ${thing}/{`));
  const named = [route, ...others].map((one) => Array.from(one.matchAll(/\{(\w+)\}/g), ([, key = '']) => key));
  const fitting = [...named, twoPartName].filter((names) => names.length > 0 && names.every((key) => keys.includes(key)));
  // What has to be said comes first; the id of something new may be left to the gateway.
  return (
    fitting.find((names) => names.every((key) => required.includes(key))) ??
    fitting[0] ??
    ['id', 'name'].filter((key) => keys.includes(key)).slice(0, 1)
  );
}

/** `support/crm`, in one word or in two. */
export const twoPartName: readonly string[] = ['namespace', 'name'];

interface Schema {
  readonly properties?: Readonly<Record<string, JsonObject>>;
  readonly required?: readonly string[];
}

function flagOf(action: string, key: string, given: JsonObject, isRequired: boolean, isPositional: boolean): Flag {
  const all = branchesOf(given);
  const branches = all.filter(({ type }) => type !== 'null');
  const isNullable = branches.length < all.length;
  const [schema = {}] = branches;
  // What is a document of its own stands in a file.
  const isDocument = given.contentMediaType !== undefined;
  const shape = isDocument ? 'file' : branches.length === 1 ? shapeOf(schema) : 'either';
  const described = given.description ?? schema.description;
  return {
    key,
    name: flagName(key),
    shape,
    itemShape: isObject(schema.items) && shapeOf(schema.items) === 'number' ? 'number' : 'text',
    isRequired,
    isNullable,
    // What is marked as written and never shown (JSON Schema), and the value of a secret in any case.
    isSecret: given.writeOnly === true || schema.writeOnly === true || (action.endsWith('_secret') && key === 'value'),
    isPositional,
    description: typeof described === 'string' ? described : '',
    choices: choicesOf(shape === 'list' && isObject(schema.items) ? schema.items : schema),
    fallback: given.default === undefined ? undefined : JSON.stringify(given.default),
  };
}

/** What a value may be: JSON Schema says it in a list of schemas, or of types. */
function branchesOf(schema: JsonObject): readonly JsonObject[] {
  const { anyOf, type } = schema;
  if (Array.isArray(anyOf)) return anyOf.filter(isObject);
  return Array.isArray(type) ? type.map((one) => ({ ...schema, type: one })) : [schema];
}

/** `isDisabled` to `is-disabled`. */
function flagName(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-');
}

function shapeOf({ type, enum: choices, const: only, items }: JsonObject): Shape {
  if (type === 'string' || typeof only === 'string' || (Array.isArray(choices) && choices.every(isText))) return 'text';
  if (type === 'number' || type === 'integer') return 'number';
  if (type === 'boolean') return 'switch';
  if (type === 'array') return isObject(items) && ['text', 'number'].includes(shapeOf(items)) ? 'list' : 'structure';
  return type === 'object' ? 'structure' : 'either';
}

function choicesOf({ enum: choices, const: only }: JsonObject): readonly string[] {
  if (isText(only)) return [only];
  return Array.isArray(choices) ? choices.filter(isText) : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
