import { compileGlob } from '../catalog/glob.ts';
import type { Json } from '../wire/json.ts';
import { type ContentCheck, type Direction, makeCheck, stricter } from './content-check.ts';
import type { ContentLine } from './content-schema.ts';
import type { ContentAction } from './rule-names.ts';
import { rules } from './rules.ts';
import { type ContentVerdict, inspectBytes, screenValue } from './screen.ts';

/** Content rules as calls use them. */
export interface ContentPolicy {
  /** The check for one capability (`namespace/name`) and direction; undefined where there is nothing to look for. */
  checkFor(capability: string, direction: Direction): ContentCheck | undefined;
}

/** A check with what runs it: calls that nothing is looked for in need none of this loaded. */
export interface ContentScreen {
  /** Judges parsed JSON, such as the arguments of a call. */
  screenValue(value: Json): ContentVerdict;
  /** Judges the bytes of one JSON value, such as a result. */
  inspectBytes(bytes: Buffer): ContentVerdict;
}

/** What screens one capability's calls in one direction; undefined where there is nothing to look for. */
export function screenFor(policy: ContentPolicy, capability: string, direction: Direction): ContentScreen | undefined {
  const check = policy.checkFor(capability, direction);
  if (check === undefined) return undefined;
  return Object.freeze({
    screenValue: (value: Json) => screenValue(check, value),
    inspectBytes: (bytes: Buffer) => inspectBytes(check, bytes),
  });
}

/** Compiles lines of every level together; their order means nothing. Ask it for checks when a catalog is built, not during a call. */
export function compileContentPolicy(lines: readonly ContentLine[]): ContentPolicy {
  const compiled = lines.map((line) => ({ ...line, ids: idsOf(line.rules), globs: line.match?.map(compileGlob) }));
  // Most capabilities share their checks.
  const checks = new Map<string, ContentCheck | undefined>();
  return Object.freeze({
    checkFor: (capability: string, direction: Direction) => {
      const applying = compiled.filter(
        (line) =>
          (line.direction ?? 'both') !== (direction === 'in' ? 'out' : 'in') &&
          (line.globs?.some((takes) => takes(capability)) ?? true),
      );
      const key = `${direction} ${applying.map((line) => compiled.indexOf(line)).join(' ')}`;
      if (!checks.has(key)) checks.set(key, makeCheck(direction, strictestActions(applying)));
      return checks.get(key);
    },
  });
}

function strictestActions(
  lines: readonly { readonly ids: readonly string[]; readonly do: ContentAction }[],
): Map<string, ContentAction> {
  const strictest = new Map<string, ContentAction>();
  for (const line of lines) for (const id of line.ids) strictest.set(id, stricter(line.do, strictest.get(id) ?? line.do));
  return strictest;
}

function idsOf(names: readonly string[]): string[] {
  return rules.filter(({ id, category }) => names.includes(category) || names.includes(id)).map(({ id }) => id);
}
