/**
 * Puts a schema together with the definitions that it refers to, directly and through others, within a size. A single schema of some
 * APIs leads to all that the API has, so that what is too large is known by adding up sizes, before anything is built.
 */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { SchemaPart, Schemas } from './convert-schema.ts';
import { cutDepth, namesReferredTo, type PruneLevel, pruneSchema } from './prune-schema.ts';

export interface FittedSchema {
  readonly schema: JsonObject;
  readonly bytes: number;
  readonly pruned: Pruned;
}

/** What had to be left out to fit. */
type Pruned = 'nothing' | 'descriptions' | 'examples' | 'depth';

export interface Fitter {
  /** Undefined for what has so many members that even their outline is beyond four times the size. */
  fit(part: SchemaPart, limitBytes: number): FittedSchema | undefined;
}

interface Sized {
  readonly schema: JsonObject;
  readonly references: ReadonlySet<string>;
  readonly bytes: number;
}

/** How a schema is made smaller: by leaving out, then by cutting what is nested deeper, too. */
interface Cut {
  readonly level: PruneLevel;
  readonly depth: number | undefined;
  readonly pruned: Pruned;
}

const levels: readonly Cut[] = [
  { level: 0, depth: undefined, pruned: 'nothing' },
  { level: 1, depth: undefined, pruned: 'descriptions' },
  { level: 2, depth: undefined, pruned: 'descriptions' },
];
const slimmest: Cut = { level: 3, depth: undefined, pruned: 'examples' };
const depths: readonly Cut[] = [8, 6, 4, 3, 2, 1].map((depth) => ({ level: 3, depth, pruned: 'depth' }));
/** Of a definition that does not fit whole. */
const definitionCuts: readonly Cut[] = [slimmest, ...depths.slice(-2)];

type Variants = (name: string, cut: Cut) => Sized;

export function fitSchemas(schemas: Schemas): Fitter {
  const known = new Map<Cut, Map<string, Sized>>();
  const variant: Variants = (name, cut) => {
    const sized = known.get(cut) ?? new Map<string, Sized>();
    known.set(cut, sized);
    const found = sized.get(name);
    if (found !== undefined) return found;
    const made = make(schemas.definition(name), cut, false);
    sized.set(name, made);
    return made;
  };
  // Many operations answer the same; what fits is then the same for all of them.
  const fitted = new Map<string, FittedSchema | undefined>();
  return {
    fit: (part, limitBytes) => {
      const limit = Math.max(limitBytes - (limitBytes % sizeStep), sizeStep);
      const text = JSON.stringify(part.schema);
      // Every step takes a while for what is as large as that, and none but the last will do.
      if (text.length > limit * farTooLarge) return fitByDepth(part, depths.slice(-1), limit, variant);
      const find = () => {
        const whole = { ...part, schema: isObject(part.schema) ? part.schema : {}, bytes: Buffer.byteLength(text) };
        return fitByLevel(part, whole, limit, variant) ?? fitByDepth(part, depths, limit, variant);
      };
      if (text.length > longestKey) return find();
      const key = `${limit} ${text}`;
      if (!fitted.has(key)) fitted.set(key, find());
      return fitted.get(key);
    },
  };
}

const sizeStep = 512;
const longestKey = 400;
const farTooLarge = 16;

function fitByLevel(part: SchemaPart, whole: Sized, limitBytes: number, variant: Variants): FittedSchema | undefined {
  const tryCut = (cut: Cut): FittedSchema | undefined => {
    const definitions = closure(part.references, limitBytes, (name) => variant(name, cut));
    if (definitions === undefined) return undefined;
    const root = cut.level === 0 ? whole : make(part, cut, true);
    if (root.bytes + definitions.bytes > limitBytes) return undefined;
    return assemble(root, new Map([...definitions.names].map((name) => [name, variant(name, cut)])), cut.pruned);
  };
  const [first, ...others] = [...levels, slimmest];
  const best = first === undefined ? undefined : tryCut(first);
  // Where the slimmest does not fit, none does.
  if (best !== undefined || closure(part.references, limitBytes, (name) => variant(name, slimmest)) === undefined) return best;
  for (const cut of others) {
    const found = tryCut(cut);
    if (found !== undefined) return found;
  }
  return undefined;
}

function make(part: SchemaPart, { level, depth }: Cut, isRoot: boolean): Sized {
  if (depth === undefined) return measure(pruneSchema(part.schema, level, isRoot), part.references);
  const cut = pruneSchema(cutDepth(part.schema, depth), level, isRoot);
  return measure(cut, namesReferredTo(cut));
}

function measure(schema: Json, references: ReadonlySet<string>): Sized {
  const object = isObject(schema) ? schema : {};
  return { schema: object, references, bytes: Buffer.byteLength(JSON.stringify(object)) };
}

/** `"name":` and what stands around it. */
const overheadBytes = 4;

/** Every definition that is needed, nearest first; undefined as soon as they are too large together. */
function closure(
  references: ReadonlySet<string>,
  limitBytes: number,
  definition: (name: string) => Sized,
): { readonly names: ReadonlySet<string>; readonly bytes: number } | undefined {
  let bytes = 0;
  const names = new Set(references);
  for (const name of names) {
    const { references: further, bytes: own } = definition(name);
    bytes += own + name.length + overheadBytes;
    if (bytes > limitBytes) return undefined;
    for (const next of further) names.add(next);
  }
  return { names, bytes };
}

const mostExcess = 4;
/** A schema that could not be filled up by now is as good as it gets. */
const mostDefinitions = 500;

function fitByDepth(part: SchemaPart, cuts: readonly Cut[], limitBytes: number, variant: Variants): FittedSchema | undefined {
  let best: { readonly root: Sized; readonly bytes: number } | undefined;
  for (const cut of cuts) {
    if (best !== undefined && best.bytes <= limitBytes) break;
    const root = make(part, cut, true);
    best = { root, bytes: root.bytes + stubBytes(root.references, variant) };
  }
  if (best === undefined || best.bytes > limitBytes * mostExcess) return undefined;
  return assemble(best.root, fill(best.root, limitBytes, variant), 'depth');
}

const stubs = new Map<string, Sized>();

/** What stands for a definition that is left out: its type, or anything. */
function stubOf({ schema: { type } }: Sized): Sized {
  const key = JSON.stringify(type ?? null);
  const stub = stubs.get(key) ?? measure(type === undefined ? {} : { type }, new Set());
  if (stubs.size < 200) stubs.set(key, stub);
  return stub;
}

function stubBytes(names: Iterable<string>, variant: Variants): number {
  let bytes = 0;
  for (const name of names) bytes += name.length + overheadBytes + stubOf(variant(name, slimmest)).bytes;
  return bytes;
}

/** The nearest definitions as whole as there is room for them, and for stubs of what they refer to. */
function fill(root: Sized, limitBytes: number, variant: Variants): Map<string, Sized> {
  const chosen = new Map<string, Sized>();
  const names = new Set(root.references);
  let room = limitBytes - root.bytes - stubBytes(names, variant);
  for (const name of names) {
    const stub = stubOf(variant(name, slimmest));
    const isOver = room <= 0 || names.size > mostDefinitions;
    const found = isOver ? undefined : largest(name, stub, room, names, variant);
    chosen.set(name, found?.sized ?? stub);
    room -= found?.bytes ?? 0;
    for (const next of found?.sized.references ?? []) names.add(next);
  }
  return chosen;
}

function largest(
  name: string,
  stub: Sized,
  room: number,
  names: ReadonlySet<string>,
  variant: Variants,
): { readonly sized: Sized; readonly bytes: number } | undefined {
  for (const cut of definitionCuts) {
    const sized = variant(name, cut);
    if (sized.bytes - stub.bytes > room) continue;
    const added = [...sized.references].filter((next) => !names.has(next));
    const bytes = sized.bytes - stub.bytes + stubBytes(added, variant);
    if (bytes <= room) return { sized, bytes };
  }
  return undefined;
}

function assemble(root: Sized, definitions: Map<string, Sized>, pruned: Pruned): FittedSchema {
  const schema = writeOut(root.schema, definitions);
  const entries = [...definitions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sized]) => [name, sized.schema] as const);
  const whole = entries.length === 0 ? schema : { ...schema, $defs: Object.fromEntries(entries) };
  let bytes = root.bytes;
  for (const [name, sized] of definitions) bytes += sized.bytes + name.length + overheadBytes;
  return { schema: whole, bytes, pruned };
}

const annotationKeywords = ['type', 'description', 'title', 'deprecated', 'default', 'examples'];

/**
 * Puts definitions that only the root and its members refer to in their place: the first levels are what a model reads first. They
 * are taken out of the definitions then.
 */
function writeOut(root: JsonObject, definitions: Map<string, Sized>): JsonObject {
  const { properties, ...rest } = root;
  const members = Object.entries(isObject(properties) ? properties : {});
  if (definitions.size === 0) return properties === undefined || members.length === 0 ? rest : { ...rest, properties };
  const used = new Map<string, number>();
  const note = (name: string) => used.set(name, (used.get(name) ?? 0) + 1);
  for (const { references } of definitions.values()) for (const name of references) note(name);
  for (const part of [rest, ...members.map(([, member]) => member)]) for (const name of namesReferredTo(part)) note(name);
  const put = (part: Json): Json => {
    if (!isObject(part) || typeof part.$ref !== 'string') return part;
    const { $ref: reference, ...own } = part;
    const name = reference.slice('#/$defs/'.length);
    const target = definitions.get(name);
    if (target === undefined || used.get(name) !== 1 || !Object.keys(own).every((key) => annotationKeywords.includes(key)))
      return part;
    definitions.delete(name);
    return { ...target.schema, ...own };
  };
  const top = put(rest);
  const first: JsonObject = isObject(top) ? top : {};
  return members.length === 0
    ? first
    : { ...first, properties: Object.fromEntries(members.map(([name, member]) => [name, put(member)])) };
}
