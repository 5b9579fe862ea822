import { dropPhrases, openings } from './phrases.ts';
import { parts } from './words.ts';

/** What else a word can be, above the bits of `part`: a look at a number costs less than a pattern for every word. */
export const role = {
  /** Makes what follows a question or a report. */
  asks: 1 << 20,
  /** Opens one of `openings`. */
  opens: 1 << 21,
  /** Opens one of `dropPhrases`. */
  drops: 1 << 22,
  /** Can be what a thief wants, together with the words in front. */
  wanted: 1 << 23,
  /** Names a mode without rules. */
  mode: 1 << 24,
  /** Takes the rules away. */
  frees: 1 << 25,
  /** Where what was taken is sent. */
  target: 1 << 26,
} as const;

const roleWords: readonly (readonly [bits: number, words: string])[] = [
  [
    role.asks,
    'how why when whether what wie warum comment pourquoi como if said says told called titled phrase phrases example attack attacks like such',
  ],
  [
    role.wanted,
    'prompt prompts systemprompt instructions anweisungen consignes instrucciones istruzioni key keys token tokens variable variables history',
  ],
  [role.mode, 'developer god debug dan admin jailbreak unsafe'],
  [role.frees, 'without no free zero ignore ignores'],
  [role.target, '@ webhook attacker sidenote'],
];

/** What each word can be: bits of `part` and `role`. */
export const wordKinds: ReadonlyMap<string, number> = withRoles();

function withRoles(): ReadonlyMap<string, number> {
  const all = new Map(parts);
  const addTo = (word: string, bits: number) => all.set(word, (all.get(word) ?? 0) | bits);
  for (const [bits, words] of roleWords) for (const word of words.split(' ')) addTo(word, bits);
  for (const [first = ''] of openings) addTo(first, role.opens);
  for (const first of dropPhrases.keys()) addTo(first, role.drops);
  return all;
}
