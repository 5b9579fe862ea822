import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { relative } from 'node:path';
import { authenticateLocalUser } from '../call/authenticate.ts';
import { systemClock } from '../clock.ts';
import { type Gateway, openGateway } from '../gateway.ts';
import type { ServerPorts } from '../inbound/door.ts';
import { createGatewayServer } from '../inbound/server.ts';
import { openLog } from '../log.ts';
import { compileNetworks } from '../policy/network.ts';
import type { Settings } from '../settings.ts';
import { version } from '../version.ts';
import { controlPath, listenForControl, ownDirectory } from './control.ts';
import { untilStopped } from './until-stopped.ts';

/** How long requests that were ended for us to stop may take to say so. */
const sayWithinMs = 1_000;
/** How long the greeting waits for upstreams. */
const greetWithinMs = 4000;

/** `gatehouse serve`: runs until it is told to stop. Resolves with the exit code. */
export async function serve(settings: Settings, environment: NodeJS.ProcessEnv): Promise<number> {
  const { log, close: closeLog } = openLog(settings.logLevel);
  ownDirectory(settings.data);
  const gateway = await openGateway({ settings, environment, log, clock: systemClock, makesAdminKey: true });
  let isReady = true;
  const ports: ServerPorts = {
    edge: gateway.edge,
    proofs: gateway.proofs,
    oauth: { issuers: settings.issuers, publicUrl: gateway.ownUrl },
    isTrustedProxy: compileNetworks(settings.trustedProxies),
    metricsText: gateway.metricsText,
    loadAdministration: gateway.loadAdministration,
    addressing: addressingOf(settings),
    bodyLimitBytes: settings.bodyLimitBytes,
    servePage: gateway.servePage,
    status: () => gateway.status(),
    startedAtMs: systemClock.nowMs(),
    ratings: gateway.ratings,
    isReady: () => isReady,
  };
  const server = createGatewayServer(ports);
  const control = createGatewayServer(ports, authenticateLocalUser('all'));
  try {
    await listen(server, settings);
    if (!(await listenForControl(control, controlPath(settings.data)))) {
      log.warn('another gateway already uses this data directory: doctor and other commands talk to that one');
    }
  } catch (error) {
    await gateway.close();
    throw error;
  }
  const url = urlOf(server);
  if (isLoopback(server)) gateway.listensAt(url);
  log.info({ url, version }, 'listening');
  void greet(gateway, url);

  const reason = await untilStopped();
  log.info({ reason }, 'stopping');
  isReady = false;
  gateway.edge.listeners.endAll();
  gateway.edge.sessions.endChannels();
  const endCalls = setTimeout(() => gateway.endCalls(), settings.drainMs);
  await Promise.all([drain(server, settings.drainMs), drain(control, settings.drainMs)]);
  clearTimeout(endCalls);
  await gateway.close();
  log.info('stopped');
  await closeLog();
  return 0;
}

function listen(server: Server, { host, port }: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'EADDRINUSE'
          ? `Port ${port} on ${host} is taken, perhaps by another gateway. Stop that one, or choose another with GATEHOUSE_PORT or --port.`
          : `Cannot listen on ${host}:${port}: ${error.message}.`;
      reject(new Error(reason));
    });
    server.listen(port, host, () => resolve());
  });
}

/** Waits for what is running, and no longer than it may. What is ended then is still answered. */
function drain(server: Server, withinMs: number): Promise<void> {
  if (!server.listening) return Promise.resolve();
  return new Promise((resolve) => {
    // A connection whose last answer has just gone out is idle from then on, and Node does not look again by itself.
    const sweep = setInterval(() => server.closeIdleConnections(), 50);
    const timer = setTimeout(() => server.closeAllConnections(), withinMs + sayWithinMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(timer);
      resolve();
    });
  });
}

/** People's browsers come by the public name, so it is one of ours. */
function addressingOf({ host, allowedHosts, allowedOrigins, publicUrl }: Settings): ServerPorts['addressing'] {
  const own = publicUrl === undefined ? [] : [new URL(publicUrl).host];
  return { host, allowedHosts: [...allowedHosts, ...own], allowedOrigins };
}

function isLoopback(server: Server): boolean {
  const { address } = server.address() as AddressInfo;
  return address === '::1' || address.startsWith('127.');
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  const host = address === '0.0.0.0' || address === '::' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address;
  return `http://${host}:${port}`;
}

async function greet(gateway: Gateway, url: string): Promise<void> {
  await gateway.connected(greetWithinMs);
  const { upstreams, toolboxes } = gateway.status();
  // Whoever starts it through npm may have an older Node, which npx does not mind.
  const isByNpm = process.env.npm_command !== undefined;
  const program = isByNpm ? 'npx gatehouse' : `node ${relative(process.cwd(), process.argv[1] ?? 'dist/gatehouse.mjs')}`;
  const names = toolboxes.flatMap(({ name }) => (name === '' ? [] : [`${url}/mcp/${name}`]));
  const healthy = upstreams.filter(({ state }) => state === 'healthy').length;
  const lines = [
    `Gatehouse ${version} is ready.`,
    '',
    `  MCP        ${url}/mcp`,
    ...names.map((name, index) => `  ${index === 0 ? 'Toolboxes' : '         '}  ${name}`),
    `  Admin key  ${gateway.newAdminKey ?? 'the one you set, or the one that was shown when this data directory was made'}`,
    ...(gateway.newAdminKey === undefined ? [] : ['             Keep it: it is shown this once, only its hash is stored.']),
    `  Upstreams  ${healthy} of ${upstreams.length} connected, ${toolboxes[0]?.tools ?? 0} tools (${program} doctor tells more)`,
    `  Connect    ${program} connect claude-desktop     (or: claude-code, vscode, cursor)`,
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}
