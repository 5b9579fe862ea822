/** Finds the member that tells alternatives apart: each object among them says by a `const` or `enum` which values of it are its own. */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

export interface Discriminator {
  /** Of the member. */
  readonly name: string;
  /** Which alternative a value of it chooses, by its place among them. */
  readonly places: ReadonlyMap<Json, number>;
  /** Whether no alternative does without it. */
  readonly isRequired: boolean;
}

interface Lookup {
  /** What a reference leads to. */
  readonly targetOf: (reference: string) => Json | undefined;
  /** Says that so many parts of the schema were looked at. False once that is enough: then what was found by then counts. */
  readonly spend: (parts: number) => boolean;
}

/** Of one alternative, as far as it says so whatever else it allows. */
interface Shape {
  readonly index: number;
  /** Values that a member may have, by its name. */
  readonly tags: ReadonlyMap<string, readonly Json[]>;
  readonly required: ReadonlySet<string>;
}

const mostAlternatives = 1_000;
/** References and parts of `allOf` that one alternative is put together from. */
const mostPieces = 20;

/** Undefined where no single member decides. Alternatives that are no objects are left out of account. */
export function findDiscriminator(parts: readonly Json[], lookup: Lookup): Discriminator | undefined {
  if (parts.length > mostAlternatives) return undefined;
  const shapes = parts.flatMap((part, index) => shapeOf(part, index, lookup) ?? []);
  const [first] = shapes;
  if (first === undefined || shapes.length < 2) return undefined;
  const found = [...first.tags.keys()].flatMap((name) => tellsApart(name, shapes) ?? []);
  return found.find(({ isRequired }) => isRequired) ?? found[0];
}

function tellsApart(name: string, shapes: readonly Shape[]): Discriminator | undefined {
  const places = new Map<Json, number>();
  for (const { index, tags } of shapes) {
    const values = tags.get(name);
    if (values === undefined || values.some((value) => (places.get(value) ?? index) !== index)) return undefined;
    for (const value of values) places.set(value, index);
  }
  return { name, places, isRequired: shapes.every(({ required }) => required.has(name)) };
}

/** Undefined where no object fits. */
function shapeOf(part: Json, index: number, lookup: Lookup): Shape | undefined {
  const pieces: JsonObject[] = [];
  const tags = new Map<string, readonly Json[]>();
  const required = new Set<string>();
  const queue = [part];
  for (const next of queue) {
    if (next === false) return undefined;
    if (!lookup.spend(1)) break;
    if (!isObject(next) || pieces.length >= mostPieces || pieces.includes(next)) continue;
    pieces.push(next);
    if (next.type !== undefined && ![next.type].flat().includes('object')) return undefined;
    if (typeof next.$ref === 'string') queue.push(lookup.targetOf(next.$ref) ?? true);
    if (Array.isArray(next.allOf)) queue.push(...next.allOf.slice(0, mostPieces));
    if (Array.isArray(next.required)) for (const name of next.required) required.add(String(name));
    lookup.spend(required.size >> 3);
    for (const [name, member] of isObject(next.properties) ? Object.entries(next.properties) : []) {
      const values = valuesOf(member, lookup);
      if (values !== undefined) tags.set(name, values);
      if (!lookup.spend(1 + ((values?.length ?? 0) >> 3))) break;
    }
  }
  return { index, tags, required };
}

function valuesOf(member: Json, { targetOf }: Lookup): readonly Json[] | undefined {
  if (!isObject(member)) return undefined;
  if (typeof member.$ref === 'string' && member.const === undefined && member.enum === undefined) {
    const target = targetOf(member.$ref);
    return isObject(target) ? written(target) : undefined;
  }
  return written(member);
}

function written({ const: only, enum: several }: JsonObject): readonly Json[] | undefined {
  const values = only !== undefined ? [only] : Array.isArray(several) ? several : undefined;
  return values?.every((value) => value === null || typeof value !== 'object') === true ? values : undefined;
}
