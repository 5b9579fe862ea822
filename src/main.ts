import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { ConfigurationError, formatProblem } from './problems.ts';
import { readSettings, type Settings, settingFlags, settingsHelp } from './settings.ts';
import { version } from './version.ts';

/** Exit codes: 0 done, 1 it did not work, 2 the command line or the configuration is wrong. */
const program = new Command('gatehouse')
  .description('One MCP server in front of everything an agent may call.')
  .version(version)
  .addHelpText('after', () => `\n${settingsHelp()}`)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

// What each command needs is loaded when it runs: `stdio` has no use for the server, `connect` none for the catalog.
withSettings(program.command('serve'))
  .description('Serve MCP over HTTP until told to stop.')
  .action(run(async (settings) => (await import('./cli/serve.ts')).serve(settings, process.env)));

withSettings(program.command('stdio'))
  .description('Serve one client over standard input and output, for clients that start a local process.')
  .option('--toolbox <name>', 'serve this toolbox instead of everything')
  .action(run(async (settings, { toolbox }) => (await import('./cli/stdio.ts')).stdio(settings, process.env, toolbox ?? '')));

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
      const config = options.config ?? process.env.GATEHOUSE_CONFIG ?? 'gatehouse.yaml';
      const paths = {
        data: settings.data,
        namespaces: settings.namespaces,
        'openapi-imports': settings.openapiImports,
        ...(existsSync(config) ? { config: resolve(config) } : {}),
      };
      const context = connectContext(paths, `http://${settings.host}:${settings.port}`);
      const { toolbox, url, key, print, json } = options;
      return connectCommand({ client, toolbox, url, key, print: print !== undefined, json: json !== undefined }, context);
    })(flags);
  });

withSettings(program.command('doctor'))
  .description('Show every upstream, what is missing, and why. Asks the running gateway, or the upstreams when none runs.')
  .option('--json', 'answer as JSON')
  .action(
    run(async (settings, { json }) => {
      const { doctor } = await import('./cli/doctor.ts');
      return doctor({
        settings,
        environment: process.env,
        json: json !== undefined,
        write: (text) => process.stdout.write(text),
      });
    }),
  );

type Flags = Readonly<Record<string, string | undefined>>;

const ownFlags: ReadonlySet<string> = new Set(['toolbox', 'url', 'key', 'print', 'json']);

function withSettings(command: Command): Command {
  for (const { flag, description } of settingFlags()) command.addOption(new Option(flag, description).hideHelp());
  return command;
}

/** Runs a command with its settings, and turns whatever it throws into a sentence and an exit code. */
function run(command: (settings: Settings, flags: Flags) => Promise<number>): (flags: Flags) => Promise<void> {
  return async (flags) => {
    try {
      const given = Object.fromEntries(Object.entries(flags).filter(([name]) => !ownFlags.has(name)));
      const settings = await readSettings({ flags: given, environment: process.env, directory: process.cwd() });
      process.exit(await command(settings, flags));
    } catch (error) {
      process.stderr.write(`${explain(error)}\n`);
      process.exit(error instanceof ConfigurationError ? 2 : 1);
    }
  };
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

await program.parseAsync();
