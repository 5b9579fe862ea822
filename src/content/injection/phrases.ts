/** How sentences begin that give a model a role. */
export const openings: readonly (readonly string[])[] = [
  ['you', 'are', 'now'],
  ['youre', 'now'],
  ['now', 'you', 'are'],
  ['now', 'on', 'you', 'are'],
  ['now', 'on', 'you', 'will'],
  ['act', 'as'],
  ['pretend', 'to', 'be'],
  ['pretend', 'you', 'are'],
  ['pretend', 'that', 'you'],
  ['pretend', 'you', 'have'],
  ['imagine', 'you', 'are'],
  ['imagine', 'being'],
  ['behave', 'as'],
  ['respond', 'as'],
  ['roleplay', 'as'],
  ['role', 'play', 'as'],
  ['simulate'],
  ['enter'],
  ['enable'],
  ['switch', 'to'],
  ['du', 'bist', 'jetzt'],
  ['tu', 'es', 'maintenant'],
  ['ahora', 'eres'],
];

/** What drops something in two words: what the second one has to be, by the first. */
export const dropPhrases: ReadonlyMap<string, RegExp> = new Map([
  ['stop', /^(?:following|obeying)$/],
  ['set', /^aside$/],
  ['throw', /^away$/],
]);
