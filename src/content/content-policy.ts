import { compileGlob } from '../catalog/glob.ts';
import type { Waiting } from '../turns.ts';
import type { Json } from '../wire/json.ts';
import { type ContentCheck, type Direction, makeCheck, stricter } from './content-check.ts';
import type { ContentLine } from './content-schema.ts';
import type { JudgeRow } from './judge.ts';
import { prepareRules } from './prepare-rules.ts';
import type { Rule } from './rule.ts';
import type { ContentAction } from './rule-names.ts';
import { loadRules, rules } from './rules.ts';
import { inspectBytes, screenPrompt, screenValue, type Verdict } from './screen.ts';
import { StreamScreen } from './stream-screen.ts';

/** Content rules as calls use them. */
export interface ContentPolicy {
  /** The check for one capability (`namespace/name`) and direction; undefined where there is nothing to look for. */
  checkFor(capability: string, direction: Direction): ContentCheck | undefined;
  /** What runs that check. */
  screenFor(capability: string, direction: Direction): ContentScreen | undefined;
  /** The judges that are asked. */
  judgesFor(capability: string, direction: Direction): readonly JudgeRow[];
}

/** A check with what runs it: calls that nothing is looked for in need none of this loaded. */
export interface ContentScreen {
  /** Judges parsed JSON, such as the arguments of a call. */
  screenValue(value: Json, waiting?: Waiting): Verdict;
  /** The same for what a model is sent: pictures, sounds and documents in base64 are passed over. */
  screenPrompt(value: Json, waiting?: Waiting): Verdict;
  /** Judges the bytes of one JSON value, such as a result. */
  inspectBytes(bytes: Buffer, waiting?: Waiting): Verdict;
  /** For one answer that comes in pieces. */
  stream(): StreamScreen;
}

function screenOf(check: ContentCheck): ContentScreen {
  return Object.freeze({
    screenValue: (value: Json, waiting?: Waiting) => screenValue(check, value, waiting),
    screenPrompt: (value: Json, waiting?: Waiting) => screenPrompt(check, value, waiting),
    inspectBytes: (bytes: Buffer, waiting?: Waiting) => inspectBytes(check, bytes, waiting),
    stream: () => new StreamScreen(check),
  });
}

/** Checks by what they do: a check has tables of its own, and thousands of capabilities share few of them. */
type KnownChecks = Map<string, { readonly check: ContentCheck; readonly screen: ContentScreen } | undefined>;

/**
 * Compiles lines of every level together; their order means nothing. Ask it for checks when a catalog is built, not during a call.
 * `all`: what `loadRules` loaded for the lines. `checks`: those made before, of the same rules.
 */
export function compileContentPolicy(
  lines: readonly ContentLine[],
  all: readonly Rule[] = rules,
  checks: KnownChecks = new Map(),
): ContentPolicy {
  const compiled = lines.map((line) => ({ ...line, ids: idsOf(line.rules ?? [], all), globs: line.match?.map(compileGlob) }));
  const applyingTo = (capability: string, direction: Direction) =>
    compiled.filter(
      (line) =>
        (line.direction ?? 'both') !== (direction === 'in' ? 'out' : 'in') &&
        (line.globs?.some((takes) => takes(capability)) ?? true),
    );
  const isGeneral = compiled.every(({ globs }) => globs === undefined);
  const general = new Map<Direction, ReturnType<KnownChecks['get']>>();
  const known = (capability: string, direction: Direction) => {
    if (!isGeneral) return find(capability, direction);
    if (!general.has(direction)) general.set(direction, find(capability, direction));
    return general.get(direction);
  };
  const find = (capability: string, direction: Direction) => {
    const actions = strictestActions(applyingTo(capability, direction));
    let key: string = direction;
    for (const [id, action] of actions) key += ` ${id} ${action}`;
    if (!checks.has(key)) {
      const check = makeCheck(direction, actions, all);
      checks.set(key, check === undefined ? undefined : { check, screen: screenOf(check) });
    }
    return checks.get(key);
  };
  return Object.freeze<ContentPolicy>({
    checkFor: (capability, direction) => known(capability, direction)?.check,
    screenFor: (capability, direction) => known(capability, direction)?.screen,
    judgesFor: (capability, direction) =>
      applyingTo(capability, direction).flatMap(({ judge, do: action }) =>
        judge === undefined ? [] : [Object.freeze({ settings: judge, action })],
      ),
  });
}

function strictestActions(
  lines: readonly { readonly ids: readonly string[]; readonly do: ContentAction }[],
): Map<string, ContentAction> {
  const strictest = new Map<string, ContentAction>();
  for (const line of lines) for (const id of line.ids) strictest.set(id, stricter(line.do, strictest.get(id) ?? line.do));
  return strictest;
}

function idsOf(names: readonly string[], all: readonly Rule[]): string[] {
  return all.filter(({ id, category }) => names.includes(category) || names.includes(id)).map(({ id }) => id);
}

/** The content rules of every policy there is: `compile` makes one of the lines that hold a capability. */
export interface ContentRules {
  compile(lines: readonly ContentLine[]): ContentPolicy;
}

/** Loads what the lines name, and prepares it. */
export async function openContentRules(lines: readonly ContentLine[]): Promise<ContentRules> {
  const names = lines.flatMap((line) => line.rules ?? []);
  const all = await loadRules(names);
  const ids = new Set(idsOf(names, all));
  await prepareRules(all.filter(({ id }) => ids.has(id)));
  const checks: KnownChecks = new Map();
  return { compile: (own) => compileContentPolicy(own, all, checks) };
}
