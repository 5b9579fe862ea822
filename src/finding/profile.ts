import { isObject, type JsonObject } from '../wire/json.ts';
import { type Action, type Actions, actionsOf, changing, reading } from './actions.ts';
import type { Texts } from './fields.ts';

/** What is looked at a second time, of the few that may fit best. Words are distinct. */
export interface Profile {
  readonly name: readonly string[];
  readonly summary: readonly string[];
  /** Of its upstream. */
  readonly owner: ReadonlySet<string>;
  readonly about: ReadonlySet<string>;
  /** Where it says what it is for: all of the above but `about`, and the tags. */
  readonly telling: ReadonlySet<string>;
  readonly does: Actions;
  readonly isDeprecated: boolean;
}

export function profileOf({ words, isDeprecated, firstWord }: Texts, definition: JsonObject, shared: Shared): Profile {
  const { name, title, summary, tags } = words;
  return {
    name: [...new Set(name)],
    summary: [...new Set([...summary, ...title])],
    owner: shared.once(words.owner),
    about: shared.once(words.about),
    telling: new Set([...name, ...title, ...summary, ...tags, ...words.owner]),
    does: whatItDoes(name, firstWord, definition),
    isDeprecated,
  };
}

/** What all of one upstream have in common is kept once. */
export interface Shared {
  once(words: readonly string[]): ReadonlySet<string>;
}

export function makeShared(): Shared {
  const known = new Map<string, ReadonlySet<string>>();
  return {
    once(words) {
      const key = words.join(' ');
      let set = known.get(key);
      if (set === undefined) {
        set = new Set(words);
        known.set(key, set);
      }
      return set;
    },
  };
}

/** From its name, its first word, and whether it says that it only reads. */
function whatItDoes(name: readonly string[], firstWord: string | undefined, { annotations }: JsonObject): Actions {
  const does = new Map<Action, number>();
  const put = (actions: readonly Action[], sure: number) => {
    for (const action of actions) does.set(action, Math.max(does.get(action) ?? 0, sure));
  };
  put(actionsOf(firstWord ?? ''), 1);
  for (const word of name) put(actionsOf(word), word === name[0] || word === name.at(-1) ? 1 : 0.6);
  const isReading = isObject(annotations) ? annotations.readOnlyHint : undefined;
  if (isReading === true) {
    doubt(does, changing, 0.3);
    if (!reading.some((action) => (does.get(action) ?? 0) > 0.5)) put(['get', 'list'], 0.8);
  } else if (isReading === false) {
    doubt(does, reading, 0.5);
    if (!changing.some((action) => does.has(action))) put(['create', 'update'], 0.6);
  }
  return does;
}

function doubt(does: Map<Action, number>, actions: readonly Action[], share: number): void {
  for (const action of actions) {
    const sure = does.get(action);
    if (sure !== undefined) does.set(action, sure * share);
  }
}
