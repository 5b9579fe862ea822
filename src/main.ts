import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Argument, Command, Option } from 'commander';
import { plainLines, showJson, showWrongLine } from './cli/show-answer.ts';
import { ConfigurationError, formatProblem } from './problems.ts';
import { settingFlags } from './settings/describe.ts';
import { readSettings, type Settings } from './settings.ts';
import { version } from './version.ts';

/** Exit codes: 0 done, 1 it did not work, 2 the command line or the configuration is wrong. */
const program = new Command('gatehouse')
  .description('One MCP server in front of everything an agent may call.')
  .usage('<command> [options]')
  .version(version)
  .helpCommand(false)
  .showSuggestionAfterError()
  .configureHelp({ subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' ') })
  .showHelpAfterError('Add --help to see what it takes.')
  .exitOverride(({ exitCode, message }) => {
    if (exitCode !== 0 && wantsJson) write(showWrongLine(message.replace(/^error: /, '')));
    process.exit(exitCode === 0 ? 0 : 2);
  });

// What each command needs is loaded when it runs: `stdio` has no use for the server, `connect` none for the catalog, and none of
// them for what administers a gateway.
program.commandsGroup('Run:');

withSettings(program.command('serve'))
  .description('Serve MCP over HTTP until told to stop.')
  .action(run(async (settings) => (await import('./cli/serve.ts')).serve(settings, process.env)));

withSettings(program.command('stdio'))
  .description('Serve one client over standard input and output, for clients that start a local process.')
  .option('--toolbox <name>', 'serve this toolbox instead of everything')
  .action(
    run(async (settings, { toolbox }) => (await import('./cli/stdio.ts')).stdio(settings, process.env, textOf(toolbox) ?? '')),
  );

program.commandsGroup('Connect:');

withSettings(program.command('connect'))
  .description('Add Gatehouse to the configuration of an MCP client, and prove it with a real call.')
  .argument('<client>', 'claude-desktop, claude-code, vscode, cursor, ...; any other name prints what to paste')
  .option('--toolbox <name>', 'connect to this toolbox instead of everything')
  .option('--url <url>', 'address of a running gateway; without it the client starts its own over stdio')
  .option('--key <key>', 'key for --url (better: set GATEHOUSE_KEY, which is not shown in the list of processes)')
  .option('--print', 'print the entry, write nothing')
  .option('--json', 'answer as JSON')
  .action(async (client: string, flags: Flags) => {
    await run(async (settings, options) => {
      const { connectCommand, connectContext } = await import('./cli/connect.ts');
      const config = textOf(options.config) ?? process.env.GATEHOUSE_CONFIG ?? 'gatehouse.yaml';
      const paths = {
        data: settings.data,
        namespaces: settings.namespaces,
        'openapi-imports': settings.openapiImports,
        ...(existsSync(config) ? { config: resolve(config) } : {}),
      };
      const context = connectContext(paths, `http://${settings.host}:${settings.port}`);
      const [toolbox, url, key] = [textOf(options.toolbox), textOf(options.url), textOf(options.key)];
      return connectCommand({ client, toolbox, url, key, print: isSet(options.print), json: isSet(options.json) }, context);
    })(flags);
  });

program.commandsGroup('Look:');

withSettings(program.command('doctor'))
  .description('Show every upstream, what is missing, and why. Asks the running gateway, or the upstreams when none runs.')
  .option('--json', 'answer as JSON')
  .action(
    run(async (settings, { json }) =>
      (await import('./cli/doctor.ts')).doctor({ settings, environment: process.env, json: isSet(json), write }),
    ),
  );

const audit = program
  .command('audit')
  .description('The record of every call: "audit verify" says whether it is as it was written.');
withSettings(audit.command('verify'))
  .description(
    'Say whether the journal is as it was written, and name the first record that is not. Works offline, on copies too.',
  )
  .option('--dir <directory>', "a journal elsewhere, such as a copy; the data directory's when left out")
  .option('--head <head>', 'how far the journal reached once, as this command printed it; repeat it for more', collect, [])
  .option('--json', 'answer as JSON')
  .action(
    run(async (settings, { dir, head, json }) => {
      const heads = Array.isArray(head) ? head : [];
      return (await import('./cli/audit.ts')).verifyAudit({ settings, dir: textOf(dir), heads, json: isSet(json), write });
    }),
  );

program.commandsGroup('Operate:');

withSettings(program.command('backup'))
  .description('Write everything in the store into one file, while gateways run.')
  .argument('[file]', 'where to; a name with the time in this directory when left out')
  .option('--json', 'answer as JSON')
  .action(async (file: string | undefined, flags: Flags) => {
    await run(async (settings, { json }) =>
      (await import('./cli/backup.ts')).backup({ settings, file, json: isSet(json), write, complain }),
    )(flags);
  });

withSettings(program.command('restore'))
  .description('Make a store of a backup.')
  .argument('<file>', 'the backup')
  .option('--keys <what>', '"revoke": every key in it becomes invalid; "keep": keys are valid as they were then')
  .option('--replace', 'replace the store that is there')
  .option('--json', 'answer as JSON')
  .action(async (file: string, flags: Flags) => {
    await run(async (settings, { keys, replace, json }) => {
      const { restore } = await import('./cli/restore.ts');
      return restore({ settings, file, keys: textOf(keys), replace: isSet(replace), json: isSet(json), write, complain });
    })(flags);
  });

withSettings(program.command('rotate-master-key'))
  .description('Seal everything under the new master key, while gateways run. Cut off, the same command goes on.')
  .option('--json', 'answer as JSON')
  .action(
    run(async (settings, { json }) =>
      (await import('./cli/rotate-master-key.ts')).rotateMasterKey({ settings, json: isSet(json), write, complain }),
    ),
  );

type Flags = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

function withSettings(command: Command): Command {
  for (const { flag, description } of settingFlags()) command.addOption(new Option(flag, description).hideHelp());
  return command.addHelpText('after', '\nIt takes the settings as well: "gatehouse help settings" lists them.');
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function textOf(value: Flags[string]): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function isSet(value: Flags[string]): boolean {
  return value === true;
}

function write(text: string): void {
  process.stdout.write(text);
}

function complain(text: string): void {
  process.stderr.write(text);
}

/** Runs a command with its settings, and turns whatever it throws into a sentence and an exit code. */
function run(command: (settings: Settings, flags: Flags) => Promise<number>): (flags: Flags) => Promise<void> {
  return (flags) =>
    finish(async () => {
      const names = new Set(settingFlags().map(({ flag }) => new Option(flag).attributeName()));
      const given = Object.entries(flags).flatMap(([name, value]) => (names.has(name) ? [[name, textOf(value)]] : []));
      const environment = process.env;
      const settings = await readSettings({ flags: Object.fromEntries(given), environment, directory: process.cwd() });
      return command(settings, flags);
    });
}

/** Whoever reads the output as JSON reads why there is no other. */
const wantsJson = process.argv.slice(2).some((word, at, words) => word === '--json' && !words.slice(0, at).includes('--'));

async function finish(command: () => Promise<number>): Promise<void> {
  try {
    process.exit(await command());
  } catch (error) {
    const reason = explain(error);
    complain(`${plainLines(reason)}\n`);
    if (wantsJson) write(showJson({ error: { message: reason } }));
    process.exit(error instanceof ConfigurationError ? 2 : 1);
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof ConfigurationError)) return `gatehouse: ${error.message}`;
  const count = error.problems.length === 1 ? 'one problem' : `${error.problems.length} problems`;
  return [
    `Gatehouse did not start: ${count} in the configuration.`,
    ...error.problems.map((problem) => `  ${formatProblem(problem)}`),
  ].join('\n');
}

/** Commands that are made of actions, and the help that lists them, load what administers a gateway. The others do not. */
async function start(words: readonly string[]): Promise<void> {
  const [first = '--help', ...rest] = words;
  if (program.commands.some((command) => command.name() === first) || ['--version', '-V'].includes(first)) {
    await program.parseAsync();
    return;
  }
  // Whoever read the output may be gone before us (`gatehouse list-keys | head`).
  process.stdout.on('error', () => {});
  const { runAdministration } = await import('./cli/administration.ts');
  const environment = process.env;
  const columns = process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY;
  const around = { environment, directory: process.cwd(), write, complain, json: wantsJson, columns };
  await finish(() => runAdministration(program, first, rest, around));
}

await start(process.argv.slice(2));
