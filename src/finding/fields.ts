import type { Capability } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { tagsOf } from './tags.ts';
import { wordsOf } from './words.ts';

/** What of a definition is searched. */
export type Field = 'name' | 'title' | 'owner' | 'about' | 'summary' | 'description' | 'parameters' | 'details';

interface FieldNumbers {
  /** What a word in it counts. */
  readonly weight: number;
  /** Words it usually has: in a longer one each counts less. Not the mean of the catalog, which would tell of what is hidden. */
  readonly usualWords: number;
  /** How much length matters: 0 to 1. */
  readonly lengthShare: number;
}

export const fields: Readonly<Record<Field, FieldNumbers>> = {
  name: { weight: 2.1, usualWords: 4, lengthShare: 0.7 },
  title: { weight: 2, usualWords: 4, lengthShare: 0.5 },
  owner: { weight: 8, usualWords: 2, lengthShare: 1 },
  about: { weight: 0.35, usualWords: 8, lengthShare: 0.3 },
  summary: { weight: 2.5, usualWords: 7, lengthShare: 1 },
  description: { weight: 0.5, usualWords: 25, lengthShare: 0.6 },
  parameters: { weight: 0.3, usualWords: 10, lengthShare: 0 },
  details: { weight: 0.3, usualWords: 60, lengthShare: 0.7 },
};

/** A schema's properties that are read: more than any person would. */
const mostProperties = 200;
const mostDeep = 3;

/** The words of each field of one capability, whatever its kind. */
export function fieldsOf({
  name,
  member,
  definition: given,
  published,
}: Capability<unknown>): Readonly<Record<Field, readonly string[]>> {
  const definition: JsonObject = isObject(published) ? published : {};
  const { config } = member;
  const short = name.startsWith(`${config.namespace}/`) ? name.slice(config.namespace.length + 1) : text(definition.name);
  const description = text(definition.description);
  const [summary, rest] = firstSentence(description);
  const schema = isObject(definition.inputSchema) ? propertyTexts(definition.inputSchema) : { names: [], details: [] };
  const words = {
    name: nameWords(isObject(given) ? text(given.name) : '', short, config),
    title: wordsOf(title(definition)),
    owner: wordsOf(`${config.namespace} ${config.name} ${config.title ?? ''}`),
    about: wordsOf(config.description ?? ''),
    summary: wordsOf(summary),
    description: wordsOf(`${rest} ${tagsOf(isObject(given) ? given : {}).join(' ')}`),
    parameters: wordsOf(schema.names.join(' ')),
    details: wordsOf(schema.details.join(' ')),
  };
  // All that an upstream offers is of its namespace: said once more, it tells none from the others.
  const own = new Set(wordsOf(config.namespace));
  const without = (words: readonly string[]) => words.filter((word) => !own.has(word));
  return {
    ...words,
    name: without(words.name),
    title: without(words.title),
    summary: without(words.summary),
    description: without(words.description),
  };
}

// A name is shortened where it is too long for clients; what its upstream calls it says more. One that was renamed has both.
function nameWords(own: string, short: string, { rename }: Pick<UpstreamConfig, 'rename'>): readonly string[] {
  return Object.hasOwn(rename, own) ? [...wordsOf(short), ...wordsOf(own)] : wordsOf(own === '' ? short : own);
}

function title({ title: given, annotations }: JsonObject): string {
  return typeof given === 'string' ? given : isObject(annotations) ? text(annotations.title) : '';
}

function firstSentence(description: string): readonly [string, string] {
  const end = /[.!?:](\s|$)|\n/.exec(description)?.index ?? description.length;
  return [description.slice(0, end), description.slice(end)];
}

interface PropertyTexts {
  readonly names: string[];
  readonly details: string[];
}

function propertyTexts(schema: JsonObject, found: PropertyTexts = { names: [], details: [] }, depth = 0): PropertyTexts {
  if (depth >= mostDeep || !isObject(schema.properties)) return found;
  for (const [name, property] of Object.entries(schema.properties)) {
    if (found.names.length >= mostProperties) break;
    found.names.push(name);
    if (!isObject(property)) continue;
    found.details.push(text(property.title), text(property.description));
    const items = isObject(property.items) ? property.items : property;
    propertyTexts(items, found, depth + 1);
  }
  return found;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
