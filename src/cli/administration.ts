import type { Command } from 'commander';
import { actions } from '../admin/actions.ts';
import { suggestName } from '../problems.ts';
import { settingsHelp } from '../settings/describe.ts';
import { actionCommand, actionList, actionsByNoun, commandName } from './action-help.ts';
import { findAction, runAction, type Surroundings } from './run-action.ts';
import { shortcutCommand, shortcuts } from './shortcuts.ts';
import { plain, showWrongLine } from './show-answer.ts';

/** Whatever `main.ts` has no command of its own for: help, and the commands that are made of actions. Resolves with the exit code. */
export async function runAdministration(
  program: Command,
  first: string,
  words: readonly string[],
  around: Surroundings,
): Promise<number> {
  if (first === '--help' || first === '-h') return showHelp(program, undefined, around);
  if (first === 'help') return showHelp(program, words[0], around);
  const command = findAction(first);
  if (command !== undefined) return runAction(command, words, around);
  const reason = `${unknown(program, first)} "gatehouse --help" lists all of them.`;
  around.complain(`gatehouse: ${reason}\n`);
  if (around.json === true) around.write(showWrongLine(reason));
  return 2;
}

function unknown(program: Command, name: string): string {
  if (name.startsWith('-')) return `"${plain(name)}" stands before the command; the command comes first.`;
  const own = [...program.commands, ...shortcuts].map((command) =>
    typeof command.name === 'string' ? command.name : command.name(),
  );
  const known = [...own, ...actions.map(commandName), 'help'];
  return `There is no command "${plain(name.slice(0, 100))}".${suggestName(name, known)}`;
}

function showHelp(program: Command, topic: string | undefined, around: Surroundings): number {
  const text = topic === undefined ? mainHelp(program) : helpOn(program, topic);
  if (text === undefined) {
    around.complain(
      `gatehouse: ${unknown(program, topic ?? '')} There is help on every command, on "settings" and on "admin".\n`,
    );
    return 2;
  }
  around.write(text);
  return 0;
}

function mainHelp(program: Command): string {
  for (const shortcut of shortcuts) program.addCommand(shortcutCommand(shortcut));
  return `${program.helpInformation()}
Administer (see docs/cli.md):
${actionsByNoun(actions)}

  gatehouse <command> --help    what a command takes
  gatehouse help admin          what each of those under "Administer" does
  gatehouse help settings       flags, variables and keys of gatehouse.yaml
`;
}

function helpOn(program: Command, topic: string): string | undefined {
  if (topic === 'settings') return `${settingsHelp()}\n`;
  if (topic === 'admin') return `${actionList(actions)}\n`;
  const action = findAction(topic);
  const command = action === undefined ? program.commands.find((known) => known.name() === topic) : actionCommand(action);
  return command?.helpInformation();
}
