import { Command } from 'commander';
import { isObject, type JsonObject } from '../wire/json.ts';
import { plain, plainLines } from './show-answer.ts';

/** A short name of an action that works on a whole file. */
export interface Shortcut {
  readonly name: string;
  readonly action: string;
  readonly group: string;
  readonly description: string;
  /** The input that is read from a file, which the first word names; `-` is standard input. */
  readonly fileInput?: string;
  readonly show: (answer: JsonObject) => string;
  /** Whether the answer says that it worked. */
  readonly isGood: (answer: JsonObject) => boolean;
}

export const shortcuts: readonly Shortcut[] = [
  {
    name: 'plan',
    action: 'plan_configuration',
    group: 'Look:',
    description: 'Show what applying a file would change, line by line, and everything that is wrong with it.',
    fileInput: 'text',
    show: (answer) => showPlan(answer, 'would change'),
    isGood: ({ isPossible }) => isPossible === true,
  },
  {
    name: 'apply',
    action: 'import_configuration',
    group: 'Operate:',
    description: 'Make what is registered as a file says: all of it or nothing. "plan" shows it before.',
    fileInput: 'text',
    show: (answer) => showPlan(answer, 'changed'),
    isGood: ({ isPossible }) => isPossible === true,
  },
  {
    name: 'export',
    action: 'export_configuration',
    group: 'Look:',
    description: 'Print what is registered as a file for "apply". Keys and secrets are not in it.',
    show: ({ text }) => (typeof text === 'string' ? plainLines(text) : ''),
    isGood: ({ text }) => typeof text === 'string',
  },
];

/** For the main help. */
export function shortcutCommand({ name, group, description, fileInput }: Shortcut): Command {
  const command = new Command(name).description(description).helpGroup(group);
  return fileInput === undefined ? command : command.argument('<file>', 'the file, of YAML or JSON; - for standard input');
}

function showPlan(answer: JsonObject, did: string): string {
  const { changes, proposal, secrets } = answer;
  const problems = listOf(answer.problems).flatMap((problem) => (isObject(problem) ? [describeProblem(problem)] : []));
  const shown = listOf(answer.lines).map((line) => plain(String(line)));
  const count = typeof changes === 'number' ? changes : shown.length;
  const found = [
    ...problems,
    ...shown,
    count === 0 ? `Nothing ${did}.` : `${count} ${count === 1 ? 'document' : 'documents'} ${did}.`,
  ];
  if (typeof proposal === 'string') found.push('', 'As a configuration of Gatehouse:', '', plainLines(proposal).trimEnd());
  if (listOf(secrets).length > 0)
    found.push(
      '',
      `Set these secrets: ${listOf(secrets)
        .map((name) => plain(String(name)))
        .join(', ')}`,
    );
  return `${found.join('\n')}\n`;
}

function describeProblem({ severity, line, column, message }: JsonObject): string {
  const place = [line, column].filter((part) => typeof part === 'number').join(':');
  return `${plain(String(severity))}${place === '' ? '' : ` in line ${place}`}: ${plain(String(message))}`;
}

function listOf(value: JsonObject[string] | undefined): readonly JsonObject[string][] {
  return Array.isArray(value) ? value : [];
}
