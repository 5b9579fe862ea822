import type { Action } from '../admin/action.ts';
import { actions } from '../admin/actions.ts';
import { inputMisfits } from '../admin/input-misfits.ts';
import { readSettings } from '../settings.ts';
import type { JsonObject } from '../wire/json.ts';
import { type Flag, flagsOf } from './action-flags.ts';
import { actionCommand, commandName } from './action-help.ts';
import { AddressError, askGateway, type Far, isExposed, readAddress, requestOf } from './ask-gateway.ts';
import { type Given, readFlags } from './read-flags.ts';
import { readSecret } from './read-secret.ts';
import { type Shortcut, shortcuts } from './shortcuts.ts';
import { plainLines, showAnswer, showJson, showWrongLine } from './show-answer.ts';

/** Where a command runs. */
export interface Surroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly write: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Whoever reads the output reads it as JSON. */
  readonly json?: boolean | undefined;
  /** Of the terminal; as many as there may be where the output is none. */
  readonly columns: number;
}

/** A command that is made of an action. */
export interface ActionCommand {
  readonly name: string;
  readonly action: Action;
  readonly flags: readonly Flag[];
  readonly shortcut: Shortcut | undefined;
}

/** Lists with more in each row than a line holds: what of it people look for. All of it is in `--json`. */
const tables: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  search_audit: {
    calls: ['atMs', 'caller', 'capability', 'decision', 'outcome', 'code', 'ms'],
    changes: ['revision', 'atMs', 'actor', 'action', 'kind', 'id'],
  },
  list_models: { models: ['id', 'title', 'state', 'priceTier', 'contextWindow', 'providers', 'can', 'limits'] },
  get_failover_events: { events: ['atMs', 'model', 'kind', 'from', 'to', 'reason'] },
};

/** The action behind a command, by its name or a short one; undefined where there is none. */
export function findAction(name: string): ActionCommand | undefined {
  const shortcut = shortcuts.find((candidate) => candidate.name === name);
  const action = actions.find((candidate) =>
    shortcut === undefined ? commandName(candidate) === name : candidate.name === shortcut.action,
  );
  return action === undefined ? undefined : { name, action, shortcut, flags: flagsOf(action, shortcut?.fileInput) };
}

/** `gatehouse <action> ...`: exit code 0 done, 1 refused or failed, 2 the command line is wrong. */
export async function runAction(command: ActionCommand, words: readonly string[], around: Surroundings): Promise<number> {
  const end = words.indexOf('--');
  if (words.slice(0, end < 0 ? undefined : end).some((word) => word === '--help' || word === '-h')) {
    around.write(actionCommand(command).helpInformation());
    return 0;
  }
  const { flags } = command;
  const secret = flags.find(({ isSecret }) => isSecret);
  const own = { json: true, url: false, data: false, config: false, ...(secret === undefined ? {} : { 'from-file': false }) };
  const given = await readFlags(words, flags, own);
  const input: JsonObject = { ...given.input };
  const problems = [...given.problems, ...findProblems(command, input)];
  if (problems.length === 0 && secret !== undefined && !Object.hasOwn(input, secret.key)) {
    problems.push(...(await takeSecret(secret, given.own['from-file'], input)), ...findProblems(command, input));
  }
  if (problems.length > 0) return refuseCommand(command, problems, around);
  try {
    return await send(command, input, given.own, around);
  } catch (error) {
    if (error instanceof AddressError) return refuseCommand(command, [error.message], around);
    throw error;
  }
}

async function send(
  { action, shortcut }: ActionCommand,
  input: JsonObject,
  own: Given['own'],
  around: Surroundings,
): Promise<number> {
  const far = await farOf(own, around);
  const outcome = await askGateway(far, requestOf(action, input));
  if (own.json !== undefined) around.write(showJson(outcome.answer));
  else if (outcome.kind === 'refused') around.complain(`gatehouse: ${plainLines(outcome.message)}\n`);
  else {
    const { warnings, ...answer } = outcome.answer;
    around.write(shortcut?.show(answer) ?? showAnswer(answer, around.columns, tables[action.name]));
    if (Array.isArray(warnings)) for (const warning of warnings) around.complain(`warning: ${plainLines(String(warning))}\n`);
  }
  return outcome.kind === 'done' && (shortcut?.isGood(outcome.answer) ?? true) ? 0 : 1;
}

async function takeSecret(
  { key, isRequired }: Flag,
  file: string | true | undefined,
  input: JsonObject,
): Promise<readonly string[]> {
  const read = await readSecret(typeof file === 'string' ? file : undefined, key);
  if ('problem' in read) return [read.problem];
  if (read.text === '' && isRequired) return [`The ${key} is empty. Give it on standard input, or by --from-file.`];
  if (read.text !== '') input[key] = read.text;
  return [];
}

/** What an action would refuse, in the words of the command line. */
function findProblems({ action, flags }: ActionCommand, input: JsonObject): readonly string[] {
  return inputMisfits(action, input).flatMap(({ path, message }) => {
    const [, key, ...inside] = path.split('/');
    // Of what is not there the words themselves have told.
    if (key !== undefined && !Object.hasOwn(input, key)) return [];
    const flag = flags.find((candidate) => candidate.key === key);
    if (flag === undefined) return [message];
    const name = flag.isPositional ? `<${flag.name}>` : flag.isSecret ? flag.name : `--${flag.name}`;
    const said = message.startsWith(path) ? message.slice(path.length).replace(/^: /, ' ') : ` ${message}`;
    return [`${name}${inside.length === 0 ? '' : `, at ${inside.join('.')}`}:${said}`];
  });
}

/** Everything that is wrong with a command line, at once. */
function refuseCommand({ name }: ActionCommand, problems: readonly string[], { write, complain, json }: Surroundings): number {
  const lines = problems.map((problem) => `  ${plainLines(problem)}`);
  complain(`gatehouse ${name}: nothing was done.\n${lines.join('\n')}\n"gatehouse ${name} --help" shows what it takes.\n`);
  if (json === true) write(showWrongLine(`${name}: nothing was done.\n${problems.join('\n')}`));
  return 2;
}

async function farOf(own: Given['own'], { environment, directory, complain }: Surroundings): Promise<Far> {
  const url = own.url ?? environment.GATEHOUSE_URL;
  if (typeof url === 'string' && url !== '') {
    const far = readAddress(url, environment.GATEHOUSE_KEY);
    if (isExposed(far)) complain(`warning: the key goes to ${far.url.host} unencrypted; use https.\n`);
    return far;
  }
  const flags = { data: textOf(own.data), config: textOf(own.config) };
  const { data } = await readSettings({ flags, environment, directory });
  return { kind: 'running', dataDir: data };
}

function textOf(value: string | true | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
