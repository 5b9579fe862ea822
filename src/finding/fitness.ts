import { type Actions, actionsOf, agreement } from './actions.ts';
import type { Profile } from './profile.ts';

export interface HeardWord {
  readonly word: string;
  readonly share: number;
  /** Its share of how rare it is. */
  readonly tells: number;
}

export interface HeardWanted {
  readonly words: readonly HeardWord[];
  /** Of the word that tells most. */
  readonly most: number;
}

/** A question as a view understands it. */
export interface Heard {
  /** What something in the view speaks of, and how much the word that tells most of it counts. */
  readonly wanted: readonly HeardWanted[];
  /** Of all of them. */
  readonly total: number;
  readonly shares: ReadonlyMap<string, number>;
  readonly rarity: (word: string) => number;
  readonly actions: Actions;
}

/** Something that may fit. */
export interface Look {
  readonly profile: Profile | undefined;
  /** Of its words, more than 0. */
  readonly score: number;
  /** How much of the wanted it has: 0 to 1. */
  readonly covered: number;
  /** How much of the wanted its upstream as a whole speaks of: 0 to 1. */
  readonly spoken: number;
}

/**
 * What each thing that is known of a candidate adds to the logarithm of its odds of being meant. Fitted by softmax regression to the
 * questions that are not held out (docs/finding-tools.md).
 */
const weights = {
  score: 4.5,
  covered: 2.4,
  action: 2,
  name: 2.2,
  summary: 2.2,
  telling: 1.8,
  first: 1.1,
  spoken: 1.9,
  about: 2.1,
  beside: -1.7,
  deprecated: -0.6,
};

/** How well it fits, to be compared with others under the same question. */
export function fitness({ profile, score, covered, spoken }: Look, heard: Heard): number {
  const words = weights.score * Math.log(score) + weights.covered * Math.log(covered) + weights.spoken * spoken;
  if (profile === undefined) return words;
  const { telling, about, first } = heldBy(profile, heard);
  return (
    words +
    weights.action * agreement(heard.actions, profile.does) +
    weights.name * shareAsked(profile.name, profile, heard) +
    weights.summary * shareAsked(profile.summary, profile, heard) +
    weights.telling * telling +
    weights.first * first +
    weights.about * about +
    weights.beside * beside(profile, heard) +
    weights.deprecated * (profile.isDeprecated ? 1 : 0)
  );
}

/** Least that a word tells which is nowhere else or everywhere. */
const leastTold = 0.3;

/** How much of a text was asked for, by what its words tell. */
function shareAsked(words: readonly string[], { owner }: Profile, { shares, rarity }: Heard): number {
  let [asked, all] = [0, 0];
  for (const word of words) {
    if (owner.has(word)) continue;
    const tells = Math.max(leastTold, rarity(word));
    all += tells;
    asked += tells * (shares.get(word) ?? 0);
  }
  return all === 0 ? 0 : asked / all;
}

interface Held {
  /** How much of the wanted stands where it says what it is for. */
  readonly telling: number;
  /** How much stands in what its upstream is called and said to be for. */
  readonly about: number;
  /** How much of what was asked for first its name has. */
  readonly first: number;
}

/** What is asked for first is mostly what is meant; what comes later, with which it is to be done. */
const firstShares = [3 / 6, 2 / 6, 1 / 6];

function heldBy({ name, telling, owner, about }: Profile, { wanted, total }: Heard): Held {
  const held = { telling: 0, about: 0, first: 0 };
  for (const [at, { words, most }] of wanted.entries()) {
    let [told, named, said] = [0, 0, 0];
    for (const { word, share, tells } of words) {
      if (telling.has(word)) told = Math.max(told, tells);
      if (owner.has(word) || name.includes(word)) named = Math.max(named, tells);
      if (owner.has(word) || about.has(word)) said = Math.max(said, share);
    }
    held.telling += told / total;
    held.about += (said * most) / total;
    held.first += (named / most) * (firstShares[at] ?? 0);
  }
  return held;
}

const mostBeside = 4;

/** How much else its name speaks of: 0 to 1. */
function beside({ name, owner }: Profile, { shares }: Heard): number {
  const others = name.filter((word) => !shares.has(word) && !owner.has(word) && actionsOf(word).length === 0);
  return Math.min(mostBeside, others.length) / mostBeside;
}
