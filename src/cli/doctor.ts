import { systemClock } from '../clock.ts';
import { openGateway, type Status, type UpstreamStatus } from '../gateway.ts';
import { openLog } from '../log.ts';
import type { Settings } from '../settings.ts';
import { askRunning } from './control.ts';

/** How long upstreams get to answer when no gateway runs and doctor has to ask them itself. */
const examineWithinMs = 15_000;

interface DoctorOptions {
  readonly settings: Settings;
  readonly environment: NodeJS.ProcessEnv;
  readonly json: boolean;
  readonly write: (text: string) => void;
}

/** `gatehouse doctor`: what every upstream is doing, and what is missing and why. Exit code 0 when all is well, 1 when not. */
export async function doctor({ settings, environment, json, write }: DoctorOptions): Promise<number> {
  const running = (await askRunning(settings.data, '/api/status')) as Status | undefined;
  const status = running ?? (await examine(settings, environment));
  if (json) write(`${JSON.stringify({ isRunning: running !== undefined, ...status }, null, 2)}\n`);
  else write(report(status, running !== undefined, systemClock.nowMs()));
  const isWell =
    status.configuration.length === 0 &&
    status.upstreams.every(({ state, missing }) => state === 'healthy' && missing.length === 0);
  return isWell ? 0 : 1;
}

async function examine(settings: Settings, environment: NodeJS.ProcessEnv): Promise<Status> {
  const { log, close } = openLog('silent');
  const gateway = await openGateway({ settings, environment, log, clock: systemClock, makesAdminKey: false });
  try {
    await gateway.connected(examineWithinMs);
    return gateway.status();
  } finally {
    await gateway.close();
    await close();
  }
}

function report(status: Status, isRunning: boolean, nowMs: number): string {
  const lines = [
    isRunning
      ? `Gatehouse ${status.version} has been running for ${ago(nowMs - status.startedAtMs)}.`
      : `No gateway is running on this data directory; upstreams were asked just now.`,
  ];
  for (const { file, line, message } of status.configuration)
    lines.push(`  problem  ${file ?? ''}${line === undefined ? '' : `:${line}`} ${message}`);
  lines.push('');
  for (const upstream of status.upstreams) lines.push(...describe(upstream, nowMs), '');
  const all = status.toolboxes.find(({ name }) => name === '');
  lines.push(
    `${all?.tools ?? 0} tools, ${all?.prompts ?? 0} prompts, ${all?.resources ?? 0} resources; ${status.sessions} sessions, ${status.streams} streams.`,
  );
  return `${lines.join('\n')}\n`;
}

function describe(upstream: UpstreamStatus, nowMs: number): string[] {
  const {
    id,
    state,
    transport,
    protocolVersion,
    era,
    server,
    calls,
    lastError,
    lastSuccessAtMs,
    tools,
    isStale,
    isPaused,
    missing,
    nextAttemptAtMs,
  } = upstream;
  const lines = [
    `${state === 'healthy' ? 'ok  ' : 'FAIL'} ${id}: ${state}, ${tools} tools${isStale ? ' (from an earlier connection)' : ''}`,
    `     ${transport}, protocol ${protocolVersion === undefined ? 'not known yet' : `${protocolVersion} (${era})`}${server === undefined ? '' : `, ${server}`}; ${calls.succeeded} calls succeeded, ${calls.failed} failed`,
  ];
  if (isPaused) lines.push('     calls are paused because too many failed; one is let through from time to time');
  if (lastSuccessAtMs !== undefined) lines.push(`     last success ${ago(nowMs - lastSuccessAtMs)} ago`);
  if (lastError !== undefined) lines.push(`     last error ${ago(nowMs - lastError.atMs)} ago: ${lastError.message}`);
  if (nextAttemptAtMs !== undefined) lines.push(`     next attempt to connect in ${ago(Math.max(0, nextAttemptAtMs - nowMs))}`);
  for (const { subject, message } of missing) lines.push(`     not listed: ${subject}: ${message}`);
  return lines;
}

function ago(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
