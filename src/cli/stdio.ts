import { authenticateLocalUser } from '../call/authenticate.ts';
import { systemClock } from '../clock.ts';
import { openGateway } from '../gateway.ts';
import { serveStdio } from '../inbound/mcp/stdio.ts';
import { openLog } from '../log.ts';
import type { Settings } from '../settings.ts';
import { ownDirectory } from './control.ts';
import { untilStopped } from './until-stopped.ts';

/**
 * `gatehouse stdio`: the same gateway for one client that starts it as a child process. The client is whoever started it; no key is
 * asked for. Resolves with the exit code when the client has left.
 */
export async function stdio(settings: Settings, environment: NodeJS.ProcessEnv, toolbox: string): Promise<number> {
  const { log, close: closeLog } = openLog(settings.logLevel);
  ownDirectory(settings.data);
  const gateway = await openGateway({ settings, environment, log, clock: systemClock, makesAdminKey: false });
  if (toolbox !== '' && !gateway.edge.catalog().toolboxes.has(toolbox)) {
    const names = [...gateway.edge.catalog().toolboxes.keys()].join(', ');
    await gateway.close();
    throw new Error(
      `There is no toolbox "${toolbox}" in ${settings.namespaces}. ${names === '' ? 'None is defined.' : `There are: ${names}.`}`,
    );
  }
  if (toolbox === 'admin') await gateway.loadAdministration();
  const caller = authenticateLocalUser(toolbox === '' ? 'all' : new Set([toolbox]));
  const { stdin: input, stdout: output } = process;
  const left = serveStdio(gateway.edge, { caller, toolbox, input, output, limitBytes: settings.bodyLimitBytes });
  await Promise.race([left, untilStopped()]);
  await gateway.close();
  await closeLog();
  return 0;
}
