import { stem } from './stem.ts';

/** What a tool does, or what somebody wants done: nearly every tool of nearly every API does one of these. */
export type Action = 'list' | 'get' | 'search' | 'create' | 'update' | 'delete' | 'send';

/** Verbs that tools are named by, and that stand first in what they say of themselves. */
const verbs: Readonly<Record<Action, string>> = {
  list: 'list all enumerate browse index',
  get: `get read retrieve fetch show view describe inspect return download lookup check preview export compute`,
  search: 'search find query lookup autocomplete filter',
  create: `create add insert new post register import upload generate invite start initiate schedule open publish submit attach append
    copy duplicate clone fork build issue provision join save set`,
  update: `update edit modify patch change set replace rename move put partially mark enable disable assign toggle reset restore archive
    unarchive lock unlock merge adjust transfer close`,
  delete: `delete remove destroy trash clear cancel revoke unassign kick detach unlink unfollow unsubscribe unstar purge prune empty
    withdraw end stop leave disconnect`,
  send: 'send post message notify reply forward deliver transmit dispatch trigger',
};

const byVerb = new Map<string, Action[]>();
for (const [action, words] of Object.entries(verbs) as [Action, string][]) {
  for (const verb of new Set(words.split(/\s+/).map(stem))) byVerb.set(verb, [...(byVerb.get(verb) ?? []), action]);
}

/** What a verb (its stem) may stand for. Empty for any other word. */
export function actionsOf(word: string): readonly Action[] {
  return byVerb.get(word) ?? none;
}

const none: readonly Action[] = [];

export const reading: readonly Action[] = ['list', 'get', 'search'];
export const changing: readonly Action[] = ['create', 'update', 'delete', 'send'];

/** Actions, each with how sure it is: 0 to 1. */
export type Actions = ReadonlyMap<Action, number>;

/** How near doing one is to doing the other. */
const nearness: Readonly<Partial<Record<`${Action} ${Action}`, number>>> = {
  'list get': 0.6,
  'list search': 0.8,
  'get search': 0.5,
  'create update': 0.4,
  'create send': 0.6,
  'update delete': 0.2,
  'update send': 0.2,
};

/** Whether something does what is wanted: 0 to 1. */
export function agreement(wanted: Actions, does: Actions): number {
  let most = 0;
  for (const [one, share] of wanted) {
    for (const [other, sure] of does) {
      const near = one === other ? 1 : (nearness[`${one} ${other}`] ?? nearness[`${other} ${one}`] ?? 0);
      most = Math.max(most, share * sure * near);
    }
  }
  return most;
}
