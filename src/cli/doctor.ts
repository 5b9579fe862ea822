import { systemClock } from '../clock.ts';
import type { Status, UpstreamStatus } from '../gateway/status.ts';
import { openGateway } from '../gateway.ts';
import { openLog } from '../log.ts';
import type { Settings } from '../settings.ts';
import { askRunning } from './control.ts';
import { plain, showJson } from './show-answer.ts';

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
  if (json) write(showJson(JSON.parse(JSON.stringify({ isRunning: running !== undefined, ...status }))));
  else write(report(status, running === undefined ? settings.data : undefined, systemClock.nowMs()));
  return isWell(status) ? 0 : 1;
}

function isWell({ configuration, upstreams, journal, breakers, issuers, stores }: Status): boolean {
  return (
    configuration.length === 0 &&
    stores.every(({ isReachable }) => isReachable) &&
    upstreams.every(
      ({ state, missing, missingSecrets }) => state === 'healthy' && missing.length === 0 && missingSecrets.length === 0,
    ) &&
    journal.isWritable &&
    !breakers.some(isHolding) &&
    issuers.every(({ state }) => state !== 'unavailable')
  );
}

/** Whether a breaker refuses calls: one that only watches does not. */
function isHolding({ state, isDetectOnly }: Status['breakers'][number]): boolean {
  return state === 'open' && !isDetectOnly;
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

/** `idleData`: the data directory, where no gateway runs on it. */
function report(status: Status, idleData: string | undefined, nowMs: number): string {
  const lines = [
    idleData === undefined
      ? `Gatehouse ${status.version} has been running for ${ago(nowMs - status.startedAtMs)}.`
      : `No gateway is running on the data directory ${idleData}; upstreams were asked just now.`,
  ];
  for (const { file, line, message } of status.configuration)
    lines.push(`  problem  ${file ?? ''}${line === undefined ? '' : `:${line}`} ${message}`);
  lines.push(...describeGateway(status, nowMs), '');
  for (const upstream of status.upstreams) lines.push(...describe(upstream, nowMs), '');
  for (const { name, missing } of status.toolboxes)
    for (const { subject, message } of missing) lines.push(`note toolbox ${name}: "${subject}": ${message}`);
  for (const { scope, file, message } of status.policies)
    lines.push(
      `note ${scope.startsWith('model:') ? scope.replace(':', ' ') : `policy ${scope}`}${file === undefined ? '' : ` in ${file}`}: ${message.replace(/^policy\./, '')}`,
    );
  if (status.policies.length > 0 || status.toolboxes.some(({ missing }) => missing.length > 0)) lines.push('');
  const all = status.toolboxes.find(({ name }) => name === '');
  lines.push(
    `${all?.tools ?? 0} tools, ${all?.prompts ?? 0} prompts, ${all?.resources ?? 0} resources; ${status.sessions} sessions, ${status.streams} streams.`,
  );
  // Names, versions and errors are whatever upstreams say.
  return `${lines.map(plain).join('\n')}\n`;
}

/** What holds for all calls, where it is worth a line. */
function describeGateway({ journal, restored, breakers, issuers, upstreams, stores }: Status, nowMs: number): string[] {
  const lines: string[] = [];
  if (!journal.isWritable)
    lines.push(
      'FAIL the journal cannot be written: calls that can change something are refused. Look at the disk; the log says more.',
    );
  for (const { kind, isReachable, sinceMs = nowMs, lastError } of stores)
    if (!isReachable) lines.push(`FAIL ${awayStores[kind]} Away for ${ago(nowMs - sinceMs)}; last error: ${lastError ?? 'none'}`);
  if (restored !== undefined)
    lines.push(
      `note the store was restored ${new Date(restored.atMs).toISOString()} from a backup of ${new Date(restored.backupMadeAtMs).toISOString()}: what was revoked or removed in between may be valid again`,
    );
  for (const breaker of breakers) {
    // Of an upstream it stands there.
    if (upstreams.some(({ id, isPaused }) => id === breaker.of && isPaused)) continue;
    const does = breaker.isDetectOnly
      ? 'would pause calls'
      : breaker.state === 'open'
        ? 'pauses calls'
        : 'lets single calls through';
    lines.push(
      `${isHolding(breaker) ? 'FAIL' : 'note'} breaker of ${breaker.of} ${does}: ${breaker.reason ?? 'too many failed'}`,
    );
  }
  for (const { issuer, state, keys, lastError } of issuers) {
    const error = lastError === undefined ? '' : `; last error: ${lastError}`;
    lines.push(`${state === 'unavailable' ? 'FAIL' : 'ok  '} issuer ${issuer}: ${issuerStates[state]}, ${keys} keys${error}`);
  }
  return lines;
}

const awayStores = {
  postgresql:
    'PostgreSQL cannot be reached: calls go on with what is known, changes are refused, and what is recorded is added later. Look at the server and GATEHOUSE_DATABASE_URL.',
  redis:
    'Redis cannot be reached: each limit does what its whenStoreGone says, and no answer is given again. Look at the server and GATEHOUSE_REDIS_URL.',
} as const;

const issuerStates = {
  unused: 'no token of it was seen of late',
  ready: 'its keys are known',
  stale: 'its keys could not be fetched of late; the last ones are in use',
  unavailable: 'its keys are not to be had, so its tokens are refused',
} as const;

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
    pausedBecause,
    missing,
    nextAttemptAtMs,
    missingSecrets,
  } = upstream;
  const protocol = protocolVersion === undefined ? [] : [`protocol ${protocolVersion} (${era})`];
  const isUnready = state === 'down' && missingSecrets.length > 0;
  const offered = `${tools} tools${isStale && tools > 0 && !isUnready ? ' (from an earlier connection)' : ''}`;
  const lines = [
    `${state === 'healthy' ? 'ok  ' : 'FAIL'} ${id}: ${isUnready ? 'not ready' : state}, ${offered}`,
    `     ${[transport, ...protocol, ...(server === undefined ? [] : [server])].join(', ')}; calls: ${calls.succeeded} succeeded, ${calls.failed} failed`,
  ];
  if (isPaused) lines.push(`     calls are paused: ${pausedBecause ?? 'too many failed'}; one is let through from time to time`);
  if (lastSuccessAtMs !== undefined) lines.push(`     last success ${ago(nowMs - lastSuccessAtMs)} ago`);
  if (lastError !== undefined) lines.push(`     last error ${ago(nowMs - lastError.atMs)} ago: ${lastError.message}`);
  if (nextAttemptAtMs !== undefined) lines.push(`     next attempt to connect in ${ago(Math.max(0, nextAttemptAtMs - nowMs))}`);
  const said = [lastError?.message ?? '', ...missing.map(({ message }) => message)].join('\n');
  for (const name of missingSecrets.filter((secret) => !said.includes(secret)))
    lines.push(
      `     not ready: the secret ${name} is not set; set it with "gatehouse set-secret ${name}", and it is taken up by itself`,
    );
  for (const { subject, message } of missing) lines.push(`     not listed: ${subject}: ${message}`);
  return lines;
}

function ago(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
