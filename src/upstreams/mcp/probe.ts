import type { Clock } from '../../clock.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { legacyVersions, modernVersion } from '../../wire/mcp.ts';
import type { ErrorMessage, ResultMessage } from '../../wire/message.ts';
import type { BoundedLog } from '../bounded-log.ts';
import { LinkError } from '../link-error.ts';
import { askLink, type Dialect, type DialectEvents, MisfitError, readValue } from './dialect.ts';
import { modernHeaders, ownMeta } from './envelope.ts';
import { Legacy } from './legacy.ts';
import { OpeningRefused } from './legacy-session.ts';
import type { Link } from './link.ts';
import { Modern } from './modern.ts';

/** The ways to one far end. */
export interface Ways {
  /** A new way: a child process, or requests to the address; for one caller alone, or for all and Gatehouse itself. */
  openLink(principal?: string): Promise<Link>;
  /** The older HTTP+SSE transport at the same address; undefined for a process. */
  readonly openSse: (() => Promise<Link>) | undefined;
  /** Everybody has credentials of their own there. */
  readonly isPerUser: boolean;
}

export interface OpenOptions {
  readonly ways: Ways;
  readonly subject: string;
  readonly clientInfo: JsonObject;
  readonly sessions: 'auto' | 'shared' | 'each';
  readonly needsEach: boolean;
  readonly timeoutMs: number;
  readonly openTimeoutMs: number;
  readonly events: DialectEvents;
  readonly log: BoundedLog;
  readonly clock: Clock;
}

export type Verdict = 'modern' | 'legacy' | 'sse';

// A process may answer late because it is only just starting, or never because it does not know the question: after this
// long it is asked in the older way too, and whichever answer comes first counts.
const silenceMs = 3_000;

/** Finds out which era the far end speaks (basic/lifecycle, "Version negotiation") and opens it. Rejects with LinkError. */
export function openAny(options: OpenOptions): Promise<Dialect> {
  return options.ways.openSse === undefined ? openProcess(options) : openAddress(options);
}

/** Opens what the far end is known to speak. Rejects with LinkError. */
export async function openKnown(options: OpenOptions, verdict: Verdict): Promise<Dialect> {
  const { ways } = options;
  if (verdict === 'sse' && ways.openSse !== undefined) return openSse(options, ways.openSse);
  return withLink(ways, async (link) => {
    if (verdict !== 'modern') return openLegacy(options, link, ways.openLink);
    const found = await discover(options, link);
    if (found === undefined) {
      throw new MisfitError('upstream_failed', `${options.subject} does not speak MCP ${modernVersion}.`, {
        detail: `it does not speak MCP ${modernVersion}`,
      });
    }
    return openModern(options, link, found);
  });
}

/** Whether a failed opening says that the far end speaks something else than what was known of it. */
export function isOtherEra(error: unknown): boolean {
  return error instanceof OpeningRefused || error instanceof MisfitError || isPlainRefusal(error);
}

export function openModern(options: OpenOptions, link: Link, found: JsonObject): Modern {
  const { subject, clientInfo, timeoutMs, events, log } = options;
  return new Modern({ link, subject, discover: found, clientInfo, timeoutMs, events, log });
}

async function openAddress(options: OpenOptions): Promise<Dialect> {
  const { ways } = options;
  try {
    return await withLink(ways, async (link) => {
      const found = await discover(options, link);
      return found === undefined ? openLegacy(options, link, ways.openLink) : openModern(options, link, found);
    });
  } catch (error) {
    const mayBeSse =
      isPlainRefusal(error) && ways.openSse !== undefined && !(error instanceof OpeningRefused && error.status === 400);
    if (!mayBeSse || ways.openSse === undefined) throw error;
    return openSse(options, ways.openSse).catch(() => {
      // That it has no event stream either says less than why it refused to initialize.
      throw error;
    });
  }
}

async function openProcess(options: OpenOptions): Promise<Dialect> {
  const { ways } = options;
  try {
    return await withLink(ways, (link) => openPipe(options, link));
  } catch (error) {
    if (!(error instanceof PipeClosed)) throw error;
    // A process that ends at the first unknown message was not made for the question.
    return withLink(ways, (link) => openLegacy(options, link, ways.openLink));
  }
}

class PipeClosed extends Error {}

async function openPipe(options: OpenOptions, link: Link): Promise<Dialect> {
  const { ways } = options;
  const asked = discover(options, link).then(
    (found) => ({ found }),
    () => 'closed' as const,
  );
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<'silent'>((resolve) => {
    timer = setTimeout(resolve, silenceMs, 'silent');
  });
  const first = await Promise.race([asked, silence]);
  clearTimeout(timer);
  if (first === 'closed') throw new PipeClosed();
  if (first !== 'silent') {
    return first.found === undefined ? openLegacy(options, link, ways.openLink) : openModern(options, link, first.found);
  }
  const initialized = openLegacy(options, link, ways.openLink).then((dialect) => ({ dialect }));
  initialized.catch(() => {});
  const second = await Promise.race([asked, initialized]);
  if (second === 'closed') throw new PipeClosed();
  if ('dialect' in second) return second.dialect;
  return second.found === undefined ? (await initialized).dialect : openModern(options, link, second.found);
}

function openLegacy(options: OpenOptions, link: Link, openLink: Ways['openLink']): Promise<Legacy> {
  const { ways, ...rest } = options;
  return Legacy.open({ ...rest, isPerUser: ways.isPerUser, openLink }, link);
}

async function openSse(options: OpenOptions, open: () => Promise<Link>): Promise<Dialect> {
  const link = await open();
  try {
    return await openLegacy(options, link, open);
  } catch (error) {
    await link.close();
    throw error;
  }
}

async function withLink<T>(ways: Ways, use: (link: Link) => Promise<T> | T): Promise<T> {
  const link = await ways.openLink();
  try {
    return await use(link);
  } catch (error) {
    await link.close();
    throw error;
  }
}

/** The result of `server/discover`, or undefined when the far end is of an older era. Rejects when that cannot be told. */
async function discover(options: OpenOptions, link: Link): Promise<JsonObject | undefined> {
  const { subject, clientInfo, openTimeoutMs } = options;
  let answer: ResultMessage | ErrorMessage;
  let status: number;
  try {
    ({ answer, status } = await askLink(
      link,
      'server/discover',
      { _meta: ownMeta(clientInfo) },
      { headers: modernHeaders(link, 'server/discover'), limitBytes: 4 * 1024 * 1024, timeoutMs: openTimeoutMs, subject },
    ));
  } catch (error) {
    if (error instanceof LinkError && saysNothingModern(error.status)) return undefined;
    throw error;
  }
  if (answer.kind === 'result') {
    const value = readValue(answer.result, subject);
    return Array.isArray(value.supportedVersions) && value.supportedVersions.includes(modernVersion) ? value : undefined;
  }
  const { code, message, data } = answer.error;
  if (code === -32022) {
    const supported = isObject(data) && Array.isArray(data.supported) ? data.supported : [];
    if (supported.some((version) => typeof version === 'string' && legacyVersions.includes(version))) return undefined;
  }
  if (code === -32020 || code === -32021 || code === -32022) {
    throw new LinkError('upstream_failed', `${subject} refused to say what it offers: ${message.slice(0, 300)}`, {
      status,
      detail: `server/discover was refused with code ${code}`,
    });
  }
  if (status >= 500 || status === 429 || status === 408) {
    throw new LinkError('upstream_failed', `${subject} failed (HTTP ${status}).`, { status, detail: `HTTP ${status}` });
  }
  return undefined;
}

// 401, 403 and everything that is the network's or a busy server's doing says nothing about the era.
function saysNothingModern(status: number | undefined): boolean {
  if (status === undefined || status < 200 || status >= 500) return false;
  return status !== 401 && status !== 403 && status !== 408 && status !== 429;
}

function isPlainRefusal(error: unknown): boolean {
  return error instanceof LinkError && (error.status === 400 || error.status === 404 || error.status === 405);
}
