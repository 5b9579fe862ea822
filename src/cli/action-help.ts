import { Command, Option } from 'commander';
import type { Action } from '../admin/action.ts';
import { type Flag, twoPartName } from './action-flags.ts';
import type { ActionCommand } from './run-action.ts';
import { durationUnitMs, isTime } from './units.ts';

/** `create_key` to `create-key`. */
export function commandName({ name }: Pick<Action, 'name'>): string {
  return name.replaceAll('_', '-');
}

/** A command that is made of an action, for its help: its words are read by `readFlags`. */
export function actionCommand({ name, action, flags }: Pick<ActionCommand, 'name' | 'action' | 'flags'>): Command {
  const command = new Command(`gatehouse ${name}`).description(`${action.title}. ${action.description}`);
  for (const flag of flags) {
    if (flag.isSecret) continue;
    if (flag.isPositional) command.argument(flag.isRequired ? `<${flag.name}>` : `[${flag.name}]`, describeArgument(flag, flags));
    else command.addOption(new Option(`--${flag.name}${placeholder(flag)}`, describe(flag)));
  }
  const taken = new Set(flags.map(({ name }) => name));
  const secret = flags.find(({ isSecret }) => isSecret);
  if (secret?.isNullable)
    command.addOption(new Option(`--no-${secret.name}`, `none: the ${secret.name} that is there is removed`));
  if (secret !== undefined)
    command.addOption(new Option('--from-file <file>', `${secret.description} Read from this file, or from standard input.`));
  for (const [name, text, description] of commandFlags) if (!taken.has(name)) command.addOption(new Option(text, description));
  return command;
}

function describeArgument(flag: Flag, flags: readonly Flag[]): string {
  const text = describe(flag) || `the ${flag.name}`;
  const [first, second] = flags;
  const isInTwoParts = first === flag && [first.key, second?.key].join() === twoPartName.join() && second?.isPositional === true;
  return isInTwoParts
    ? `${text}${text.endsWith('.') ? ' Both' : '; both'} may be one word, ${twoPartName.map((name) => `<${name}>`).join('/')}`
    : text;
}

const commandFlags = [
  ['json', '--json', 'print the answer as JSON'],
  [
    'url',
    '--url <address>',
    'the gateway to ask, with its key in GATEHOUSE_KEY (or GATEHOUSE_URL); the running one of the data directory otherwise',
  ],
  ['data', '--data <directory>', 'data directory of the running gateway (or GATEHOUSE_DATA)'],
  ['config', '--config <file>', 'file of settings'],
] as const;

function placeholder({ shape, itemShape, key }: Flag): string {
  switch (shape) {
    case 'switch':
      return '';
    case 'number':
      return isTime(key) ? ' <time>' : durationUnitMs(key) === undefined ? ' <number>' : ' <duration>';
    case 'list':
      return itemShape === 'number' ? ' <number...>' : ' <text...>';
    case 'structure':
      return ' <json>';
    default:
      return ' <text>';
  }
}

const hints: Readonly<Record<Flag['shape'], string>> = {
  file: 'a file; - for standard input',
  text: '',
  number: '',
  switch: '',
  list: 'repeat it for more',
  structure: 'JSON, or @file of JSON or YAML',
  either: '',
};

function describe({ name, description, choices, fallback, shape, isRequired, isPositional, isNullable }: Flag): string {
  const notes = [
    isRequired && !isPositional ? 'required' : '',
    choices.length > 0 ? `one of ${choices.join(', ')}` : '',
    hints[shape],
    shape === 'switch' ? `--no-${name} for the opposite` : isNullable ? `--no-${name} for none` : '',
    fallback === undefined ? '' : `default ${fallback}`,
  ].filter((note) => note !== '');
  return `${description}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`.trim();
}

/** Every action by what it is about, as the main help shows them. */
export function actionsByNoun(actions: readonly Action[]): string {
  const nouns = new Map<string, string[]>();
  for (const action of actions) {
    const noun = /^\w+ \/([\w-]+)/.exec(action.route)?.[1] ?? 'others';
    nouns.set(noun, [...(nouns.get(noun) ?? []), commandName(action)]);
  }
  const rows = [...nouns].filter(([, names]) => names.length > 1);
  const others = [...nouns.values()].filter((names) => names.length === 1).flat();
  const all = others.length === 0 ? rows : [...rows, ['more', others] as const];
  const width = Math.max(...all.map(([noun]) => noun.length));
  return all.map(([noun, names]) => wrapped(noun.padEnd(width), names)).join('\n');
}

function wrapped(start: string, names: readonly string[]): string {
  const lines: string[] = [];
  let line = `  ${start} `;
  for (const name of names) {
    if (line.length + name.length > 110) {
      lines.push(line);
      line = ' '.repeat(start.length + 3);
    }
    line += ` ${name}`;
  }
  return [...lines, line].join('\n');
}

/** Every action with a line about it. */
export function actionList(actions: readonly Action[]): string {
  const width = Math.max(...actions.map(({ name }) => name.length));
  return actions.map((action) => `  ${commandName(action).padEnd(width)}  ${action.title}`).join('\n');
}
