import { formatProblem, suggestName } from '../problems.ts';
import type { JsonObject } from '../wire/json.ts';
import { readYaml } from '../yaml-file.ts';
import { type Flag, twoPartName } from './action-flags.ts';
import { readText } from './read-text.ts';
import { durationUnitMs, isTime, readDurationMs } from './units.ts';

/** What a command line says, or everything that is wrong with it. Nothing is asked of anybody yet. */
export interface Given {
  readonly input: JsonObject;
  /** Flags of the command itself, by name. */
  readonly own: Readonly<Record<string, string | true>>;
  readonly problems: readonly string[];
}

/** A flag of the command itself: `true` where it takes no value. */
type OwnFlags = Readonly<Record<string, boolean>>;

/** Reads the words behind the name of a command. An input whose name is also a flag of the command's own wins. */
export function readFlags(words: readonly string[], flags: readonly Flag[], ownFlags: OwnFlags): Promise<Given> {
  const reader = new Reader(flags, ownFlags);
  for (let at = 0; at < words.length; ) at += reader.take(words, at);
  return reader.finish();
}

class Reader {
  readonly #flags: readonly Flag[];
  readonly #ownFlags: OwnFlags;
  readonly #byName: ReadonlyMap<string, Flag>;
  readonly #texts = new Map<Flag, string[]>();
  readonly #input: JsonObject = Object.create(null) as JsonObject;
  readonly #own: Record<string, string | true> = {};
  readonly #loose: string[] = [];
  readonly #problems: string[] = [];
  readonly #misspelt = new Set<Flag>();
  #isBare = false;

  constructor(flags: readonly Flag[], ownFlags: OwnFlags) {
    this.#flags = flags;
    this.#ownFlags = ownFlags;
    this.#byName = new Map(flags.filter(({ isSecret }) => !isSecret).map((flag) => [flag.name, flag]));
  }

  /** Takes the word at a place, with its value; returns how many words that were. */
  take(words: readonly string[], at: number): number {
    const word = words[at] ?? '';
    if (this.#isBare || word === '-' || !word.startsWith('-')) this.#loose.push(word);
    else if (word === '--') this.#isBare = true;
    else return this.#takeFlag(word, words[at + 1]);
    return 1;
  }

  #takeFlag(word: string, next: string | undefined): number {
    const [, name = word, inline] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
    const flag = this.#byName.get(name);
    const takesNothing = flag === undefined ? this.#ownFlags[name] === true : flag.shape === 'switch';
    if (flag === undefined && !Object.hasOwn(this.#ownFlags, name)) return this.#takeUnknown(name, word, inline, next);
    if (takesNothing) {
      const isNext = flag !== undefined && inline === undefined && (next === 'true' || next === 'false');
      this.#set(flag, name, inline ?? (isNext ? next : 'true'), true);
      return isNext ? 2 : 1;
    }
    // A flag where a value should be means that the value was forgotten; one that starts so is written with "=".
    const value = inline ?? (next === undefined || next.startsWith('--') ? undefined : next);
    if (value === undefined)
      this.#problems.push(`--${name} needs a value; one that starts with "--" is written --${name}=<value>.`);
    else this.#set(flag, name, value, false);
    return inline === undefined && value !== undefined ? 2 : 1;
  }

  #takeUnknown(name: string, word: string, inline: string | undefined, next: string | undefined): number {
    const denied =
      name.startsWith('no-') && inline === undefined ? this.#flags.find((flag) => `no-${flag.name}` === name) : undefined;
    if (denied?.shape === 'switch') this.#input[denied.key] = false;
    else if (denied?.isNullable) this.#input[denied.key] = null;
    else if (this.#flags.some((flag) => flag.isSecret && flag.name === name)) {
      this.#problems.push(
        `--${name} would show a secret in the list of processes. Give it on standard input, or by --from-file.`,
      );
      return inline === undefined && next !== undefined && !next.startsWith('-') ? 2 : 1;
    } else {
      const known = [...this.#byName.keys(), ...Object.keys(this.#ownFlags)].map((other) => `--${other}`);
      const suggestion = word.startsWith('--') ? suggestName(`--${name}`, known) : '';
      this.#problems.push(`${word.split('=')[0]} is not known here.${suggestion}`);
      // What was meant is not missing as well.
      const meant = this.#byName.get(/"--([^"]+)"/.exec(suggestion)?.[1] ?? '');
      if (meant !== undefined) this.#misspelt.add(meant);
      // Its value is no word on its own; whatever it is, one problem is enough for it.
      return inline === undefined && next !== undefined && !next.startsWith('-') && this.#flags.length > 0 ? 2 : 1;
    }
    return 1;
  }

  #set(flag: Flag | undefined, name: string, value: string, isSwitch: boolean): void {
    if (flag !== undefined) this.#texts.set(flag, [...(this.#texts.get(flag) ?? []), value]);
    else if (isSwitch && value !== 'true') this.#problems.push(`--${name} takes no value.`);
    else this.#own[name] = isSwitch ? true : value;
  }

  async finish(): Promise<Given> {
    const places = this.#flags.filter((flag) => flag.isPositional && !this.#texts.has(flag) && !flag.isSecret);
    for (const [n, word] of this.#loose.flatMap((word, at) => this.#splitName(word, places, at)).entries()) {
      const flag = places[n];
      if (flag === undefined) this.#problems.push(`"${word}" is one word too many.`);
      else this.#texts.set(flag, [word]);
    }
    for (const [flag, texts] of this.#texts) {
      const read = await readTexts(flag, texts);
      if ('problem' in read) this.#problems.push(read.problem);
      else this.#input[flag.key] = read.value as JsonObject[string];
    }
    for (const flag of this.#flags) {
      if (!flag.isRequired || flag.isSecret || flag.key in this.#input || this.#texts.has(flag) || this.#misspelt.has(flag))
        continue;
      this.#problems.push(`${flag.isPositional ? `<${flag.name}>` : `--${flag.name}`} is missing. ${flag.description}`.trim());
    }
    return { input: { ...this.#input }, own: this.#own, problems: this.#problems };
  }

  /** `support/crm` is `support crm`: so things are called everywhere else. */
  #splitName(word: string, places: readonly Flag[], at: number): readonly string[] {
    const [first, second] = twoPartName;
    const slash = word.indexOf('/');
    const isWhole = slash > 0 && at === 0 && places[0]?.key === first && places[1]?.key === second;
    return isWhole ? [word.slice(0, slash), word.slice(slash + 1)] : [word];
  }
}

type Read = { readonly value: unknown } | { readonly problem: string };

async function readTexts(flag: Flag, texts: readonly string[]): Promise<Read> {
  const [text = ''] = texts;
  if (flag.shape === 'list') return readList(flag, texts);
  if (texts.length > 1) return { problem: `--${flag.name} is given ${texts.length} times; once is meant.` };
  return readOne(flag.name, flag.key, flag.shape, text);
}

async function readList({ name, key, itemShape }: Flag, texts: readonly string[]): Promise<Read> {
  const [text = ''] = texts;
  if (texts.length === 1 && text.startsWith('[')) return readStructure(name, text);
  const items = await Promise.all(texts.map((item) => readOne(name, key, itemShape, item)));
  return items.find((item) => 'problem' in item) ?? { value: items.map((item) => ('value' in item ? item.value : undefined)) };
}

async function readOne(name: string, key: string, shape: Flag['shape'], text: string): Promise<Read> {
  switch (shape) {
    case 'file':
      return readFile(text);
    case 'number':
      return readNumber(name, key, text);
    case 'switch':
      return text === 'true' || text === 'false'
        ? { value: text === 'true' }
        : { problem: `--${name} is "${shorten(text)}"; it takes true, false, or nothing.` };
    case 'structure':
      return readStructure(name, text);
    case 'either':
      return text.startsWith('@') ? readStructure(name, text) : { value: jsonOr(text) };
    default:
      return { value: text };
  }
}

/** A number as it is, and where a time or a duration is meant, one that people write: `2030-01-31`, `90d`. */
function readNumber(name: string, key: string, text: string): Read {
  if (text.trim() !== '' && Number.isFinite(Number(text))) return { value: Number(text) };
  const unitMs = durationUnitMs(key);
  const value = isTime(key) ? readTime(text) : unitMs === undefined ? undefined : divide(readDurationMs(text), unitMs);
  if (value !== undefined) return { value };
  const form = isTime(key) ? 'a time such as 2030-01-31 or 2030-01-31T12:00:00Z' : 'a number';
  return {
    problem: `--${name} is "${shorten(text)}"; write ${form}${unitMs === undefined ? '' : ', or a duration such as 90d, 12h or 30m'}.`,
  };
}

function readTime(text: string): number | undefined {
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isFinite(time) ? time : undefined;
}

function divide(ms: number | undefined, unitMs: number): number | undefined {
  return ms === undefined ? undefined : ms / unitMs;
}

async function readFile(file: string): Promise<Read> {
  const read = await readText(file);
  return 'problem' in read ? read : { value: read.text };
}

/** JSON as text, or `@file` with JSON or YAML, or `@-` for standard input. */
async function readStructure(name: string, text: string): Promise<Read> {
  if (text.startsWith('@')) return readStructureFile(name, text.slice(1));
  try {
    return { value: JSON.parse(text) };
  } catch {
    return {
      problem: `--${name} is no JSON. Write it in quotes for your shell, or into a file of JSON or YAML: --${name} @file`,
    };
  }
}

async function readStructureFile(name: string, file: string): Promise<Read> {
  const read = await readText(file);
  if ('problem' in read) return { problem: `--${name}: ${read.problem}` };
  const yaml = readYaml(read.text, file === '-' ? 'standard input' : file);
  const [problem] = yaml.problems;
  return problem === undefined ? { value: yaml.value } : { problem: `--${name}: ${formatProblem(problem)}` };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}...`;
}
