import type { Capability } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { afterDeprecation, firstSentence, plainText } from './plain-text.ts';
import { textsOf } from './schema-texts.ts';
import { tagsOf } from './tags.ts';
import { wordsOf } from './words.ts';

/** What of a definition is searched. */
export type Field = 'name' | 'title' | 'owner' | 'about' | 'summary' | 'description' | 'tags' | 'parameters' | 'details';

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
  title: { weight: 0.9, usualWords: 4, lengthShare: 0.7 },
  owner: { weight: 10, usualWords: 2, lengthShare: 1 },
  about: { weight: 0.3, usualWords: 8, lengthShare: 0.4 },
  summary: { weight: 1.9, usualWords: 7, lengthShare: 0.75 },
  description: { weight: 0.45, usualWords: 25, lengthShare: 0.6 },
  tags: { weight: 0.9, usualWords: 2, lengthShare: 0.75 },
  parameters: { weight: 0.45, usualWords: 10, lengthShare: 0.2 },
  details: { weight: 0.35, usualWords: 60, lengthShare: 0.7 },
};

/** What a capability says of itself, as words. */
export interface Texts {
  readonly words: Readonly<Record<Field, readonly string[]>>;
  readonly isDeprecated: boolean;
  /** The first word of its description: mostly what it does. */
  readonly firstWord: string | undefined;
}

/** The words of each field of one capability, whatever its kind. */
export function textsOfCapability({ name, member, definition: given, published }: Capability<unknown>): Texts {
  const definition: JsonObject = isObject(published) ? published : {};
  const { config } = member;
  const short = name.startsWith(`${config.namespace}/`) ? name.slice(config.namespace.length + 1) : text(definition.name);
  const whole = plainText(text(definition.description));
  const deprecated = afterDeprecation(whole);
  const [first, rest] = firstSentence((deprecated ?? whole).trim());
  const schema = isObject(definition.inputSchema) ? textsOf(definition.inputSchema) : { names: [], details: [] };
  // All that an upstream offers is of its namespace: said once more, it tells none from the others.
  const own = new Set(wordsOf(config.namespace));
  const without = (words: readonly string[]) => words.filter((word) => !own.has(word));
  const nameWordsOnly = without(nameWords(isObject(given) ? text(given.name) : '', short, config));
  const [spoken, summary] = [wordsOf(plainText(title(definition))), wordsOf(first)];
  const words = {
    name: nameWordsOnly,
    title: saysMore(without(spoken), [nameWordsOnly, without(summary)]),
    owner: wordsOf(`${config.namespace} ${config.name} ${config.title ?? ''}`),
    about: wordsOf(config.description ?? ''),
    summary: without(summary),
    description: without(wordsOf(rest)),
    tags: without(wordsOf(tagsOf(isObject(given) ? given : {}).join(' '))),
    parameters: wordsOf(schema.names.join(' ')),
    details: wordsOf(plainText(schema.details.join(' '))),
  };
  return { words, isDeprecated: deprecated !== undefined, firstWord: summary[0] };
}

// A name is shortened where it is too long for clients; what its upstream calls it says more. One that was renamed has both.
function nameWords(own: string, short: string, { rename }: Pick<UpstreamConfig, 'rename'>): readonly string[] {
  return Object.hasOwn(rename, own) ? [...wordsOf(short), ...wordsOf(own)] : wordsOf(own === '' ? short : own);
}

/** A title is often what name or first sentence say anyway: then it counts once. */
function saysMore(title: readonly string[], others: readonly (readonly string[])[]): readonly string[] {
  const said = title.join(' ');
  return others.some((other) => other.join(' ') === said) ? [] : title;
}

function title({ title: given, annotations }: JsonObject): string {
  return typeof given === 'string' ? given : isObject(annotations) ? text(annotations.title) : '';
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
