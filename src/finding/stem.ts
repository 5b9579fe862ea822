/**
 * The stem of an English word in lower case, so that "invoices", "invoiced" and "invoicing" meet: M. F. Porter, An algorithm for
 * suffix stripping, Program 14 (3), 1980. Anything that is not an English word comes back nearly as it was.
 */
export function stem(word: string): string {
  return suffixless(irregular.get(word) ?? word);
}

/** Forms that no rule leads back: of the verbs and nouns that are used most. */
const irregular: ReadonlyMap<string, string> = new Map(
  `be:was,were,been begin:began,begun bring:brought build:built buy:bought catch:caught child:children choose:chose,chosen
  cut:cutting draw:drew,drawn drive:drove,driven eat:ate,eaten feed:fed find:found forget:forgot,forgotten get:got,gotten,getting
  give:gave,given go:went,gone hear:heard hide:hid,hidden hold:held keep:kept know:knew,known leave:left lose:lost make:made,making
  man:men meet:met pay:paid person:people,persons read:reading run:ran,running say:said sell:sold send:sent set:setting
  shut:shutting sing:sang,sung speak:spoke,spoken spend:spent stop:stopped,stopping take:took,taken teach:taught tell:told think:thought
  throw:threw,thrown understand:understood withdraw:withdrew,withdrawn woman:women write:wrote,written`
    .split(/\s+/)
    .flatMap((group) => {
      const [word = '', forms = ''] = group.split(':');
      return forms.split(',').map((form) => [form, word] as const);
    }),
);

function suffixless(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word;
  let w = stripPlural(word);
  w = stripPast(w);
  if (w.endsWith('y') && hasVowel(w.slice(0, -1))) w = `${w.slice(0, -1)}i`;
  w = exchange(w, longSuffixes, 0);
  w = exchange(w, middleSuffixes, 0);
  w = dropSuffix(w);
  if (w.endsWith('e')) {
    const base = w.slice(0, -1);
    const size = measure(base);
    if (size > 1 || (size === 1 && !endsShort(base))) w = base;
  }
  return w.endsWith('ll') && measure(w) > 1 ? w.slice(0, -1) : w;
}

function stripPlural(w: string): string {
  if (w.endsWith('sses') || w.endsWith('ies')) return w.slice(0, -2);
  return w.endsWith('s') && !w.endsWith('ss') ? w.slice(0, -1) : w;
}

function stripPast(w: string): string {
  if (w.endsWith('eed')) return measure(w.slice(0, -3)) > 0 ? w.slice(0, -1) : w;
  const base = w.endsWith('ed') ? w.slice(0, -2) : w.endsWith('ing') ? w.slice(0, -3) : undefined;
  if (base === undefined || !hasVowel(base)) return w;
  if (/(at|bl|iz)$/.test(base)) return `${base}e`;
  if (/([^aeiouylsz])\1$/.test(base)) return base.slice(0, -1);
  return measure(base) === 1 && endsShort(base) ? `${base}e` : base;
}

type Exchange = readonly (readonly [suffix: string, by: string])[];

const longSuffixes: Exchange = [
  ['ational', 'ate'],
  ['ization', 'ize'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['tional', 'tion'],
  ['biliti', 'ble'],
  ['entli', 'ent'],
  ['ousli', 'ous'],
  ['ation', 'ate'],
  ['alism', 'al'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['abli', 'able'],
  ['alli', 'al'],
  ['ator', 'ate'],
  ['eli', 'e'],
];

const middleSuffixes: Exchange = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ness', ''],
  ['ful', ''],
];

const lastSuffixes = [
  ...['ement', 'ance', 'ence', 'able', 'ible', 'ment', 'ant', 'ent', 'ism', 'ate', 'iti', 'ous', 'ive', 'ize'],
  ...['ion', 'al', 'er', 'ic', 'ou'],
];

function exchange(w: string, suffixes: Exchange, least: number): string {
  const found = suffixes.find(([suffix]) => w.endsWith(suffix));
  if (found === undefined) return w;
  const base = w.slice(0, -found[0].length);
  return measure(base) > least ? base + found[1] : w;
}

function dropSuffix(w: string): string {
  const found = lastSuffixes.find((suffix) => w.endsWith(suffix));
  if (found === undefined) return w;
  const base = w.slice(0, -found.length);
  if (measure(base) <= 1 || (found === 'ion' && !/[st]$/.test(base))) return w;
  return base;
}

/** How often a run of vowels is followed by consonants: Porter's m. */
function measure(w: string): number {
  return w.replaceAll(/^[^aeiouy]+|(?<=[aeiou])y/g, (run) => (run === 'y' ? 'c' : '')).match(/[aeiouy]+[^aeiouy]+/g)?.length ?? 0;
}

function hasVowel(w: string): boolean {
  return /[aeiou]|[^aeiou]y/.test(w);
}

/** Consonant, vowel, consonant, the last not w, x or y. */
function endsShort(w: string): boolean {
  return /(^|[^aeiou])[aeiouy][^aeiouwxy]$/.test(w);
}
