import { z } from 'zod';
import { cleanSchema } from '../arguments/clean-schema.ts';
import { findMisfits, type Misfit, mostMisfits } from '../arguments/find-misfits.ts';
import { pointerPart, shorten } from '../arguments/measure-arguments.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Action } from './action.ts';

/** Everything that an action has against its input: what its schema says, in the words of every tool, and what only its own checks know. */
export function inputMisfits({ input }: Pick<Action, 'input'>, args: JsonObject): readonly Misfit[] {
  const read = input.safeParse(args);
  if (read.success) return [];
  const { found } = findMisfits(schemaOf(input), args);
  const own = read.error.issues.flatMap(misfitsOf).filter(({ path }) => !found.some((told) => isAbout(told.path, path)));
  return [...found, ...own].slice(0, mostMisfits);
}

const schemas = new WeakMap<z.ZodObject, JsonObject>();

function schemaOf(input: z.ZodObject): JsonObject {
  let schema = schemas.get(input);
  if (schema === undefined) {
    const made = z.toJSONSchema(input, { io: 'input', unrepresentable: 'any', override: withoutPattern }) as JsonObject;
    schema = cleanSchema(made).schema;
    schemas.set(input, schema);
  }
  return schema;
}

/** What a text has to look like its own check says in words. */
function withoutPattern({ jsonSchema }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  delete jsonSchema.pattern;
  delete jsonSchema.allOf;
}

function misfitsOf(issue: z.core.$ZodIssue): Misfit[] {
  const at = pointerOf(issue.path);
  if (issue.code !== 'unrecognized_keys') return [misfit(at, issue.message)];
  return issue.keys.map((key) => misfit(`${at}/${pointerPart(key)}`, 'This is not known here; leave it out.'));
}

function misfit(path: string, message: string): Misfit {
  const sentence = shorten(message, 600);
  return { path, message: path === '' ? sentence : `${path}: ${sentence}` };
}

function pointerOf(path: readonly PropertyKey[]): string {
  return path
    .slice(0, 12)
    .map((part) => `/${pointerPart(String(part))}`)
    .join('');
}

/** Whether what was told of one place says what is wrong with the other: it is the same, or within. */
function isAbout(told: string, path: string): boolean {
  return path !== '' && (told === path || told.startsWith(`${path}/`) || path.startsWith(`${told}/`));
}
