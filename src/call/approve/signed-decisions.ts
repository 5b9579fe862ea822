/**
 * Decisions that come by a signed request, from whatever the gateway's webhook tells of calls that wait (Standard Webhooks 1.0). A
 * decision is made in a member's name and is worth what theirs is; the token that it needs was told to the webhook alone, is for one
 * member and one request, and is used up by the decision itself.
 */
import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { hmac, hmacKey } from '../../hmac.ts';
import type { Journal } from '../../journal/journal.ts';
import type { NotifyEvent } from '../../notify/notify.ts';
import type { DecisionSettings } from '../../notify/notify-settings.ts';
import { keyBytes, signatureOf } from '../../notify/webhook.ts';
import type { JsonObject } from '../../wire/json.ts';
import { scanMessage } from '../../wire/json-scan.ts';
import { ScanError } from '../../wire/scan-error.ts';
import type { Caller } from '../authenticate.ts';
import type { Approvals } from './approvals.ts';
import { mayAdminister, mayBeRequester } from './people.ts';
import { isDecider, type Request } from './request.ts';
import { mayNotDecide } from './say.ts';

interface SignedPorts {
  readonly settings: DecisionSettings;
  readonly approvals: Pick<Approvals, 'find' | 'decide' | 'agreed'>;
  /** 32 bytes; makes tokens. */
  readonly key: Buffer;
  /** `${secret:NAME}` to its value. Throws where there is none. */
  readonly resolveSecret: (text: string) => string | Promise<string>;
  /** The member as they are now; undefined where they are not let in. */
  readonly callerOf: (member: string) => Caller | undefined;
  readonly pageUrl: () => string | undefined;
  readonly journal: Pick<Journal, 'change'>;
  readonly clock: Clock;
}

/** A request to decide, as it arrived. */
interface SignedDecision {
  /** Of the address. */
  readonly id: string;
  /** Headers of Standard Webhooks: `webhook-id`, `webhook-timestamp` (seconds), `webhook-signature`. */
  readonly messageId: string | undefined;
  readonly timestamp: string | undefined;
  readonly signature: string | undefined;
  /** The very bytes that were signed. */
  readonly body: Buffer;
}

export interface SignedDecisions {
  /** What the webhook's receiver needs to decide on what an event tells of; empty where there is nothing to decide. */
  confide(event: NotifyEvent): Promise<JsonObject>;
  /** Throws GatewayError `unauthenticated`, `invalid_params`, and what `Approvals.decide` throws; what was refused is on record. */
  decide(decision: SignedDecision): Promise<Request>;
}

/** How far the clocks of sender and gateway may be apart, and how long a request that was held up is good. */
const windowMs = 5 * 60 * 1000;
/** Anybody can send what is refused: in a minute, this much of it is on record. */
const mostRefusalsNoted = 60;
const aMinuteMs = 60_000;

const decisionBody = z.strictObject({
  approval: z.string().max(64),
  member: z.string().min(1).max(128),
  token: z.string().max(128),
  decision: z.enum(['approve', 'deny']),
  reason: z.string().max(500).optional(),
});

export function openSignedDecisions(ports: SignedPorts): SignedDecisions {
  const { settings, approvals, key, resolveSecret, callerOf, pageUrl, journal, clock } = ports;
  const tokenKey = hmacKey(key);
  const tokenOf = (id: string, member: string) => `dt_${hmac(tokenKey, JSON.stringify([id, member]), 'base64url')}`;
  let minute = 0;
  let noted = 0;

  /** A member that this may decide for. Throws GatewayError `forbidden`. */
  function standIn(member: string): Caller {
    const caller = settings.members.includes(member) ? callerOf(member) : undefined;
    if (caller !== undefined && mayAdminister(caller)) return caller;
    throw new GatewayError(
      'forbidden',
      `No decision is taken in the name of "${member}": only in that of members whom the setting notify.webhook.decisions names and who may decide on calls at all.`,
    );
  }

  /** Whoever asks is a stranger as yet, who is told no name of a secret. */
  async function secretBytes(): Promise<Buffer> {
    try {
      return keyBytes(await resolveSecret(settings.secret));
    } catch (error) {
      throw new GatewayError(
        'bad_configuration',
        'No decision can be taken: the secret of notify.webhook.decisions cannot be read. Whoever runs this gateway has to set it.',
        { cause: error },
      );
    }
  }

  async function check({ messageId, timestamp, signature, body }: SignedDecision): Promise<void> {
    if (messageId === undefined || timestamp === undefined || signature === undefined)
      throw unsigned('the headers webhook-id, webhook-timestamp and webhook-signature are needed');
    const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : Number.NaN;
    const secret = await secretBytes();
    const expected = signatureOf(secret, messageId, seconds, body.toString());
    // Several while a secret is changed (Standard Webhooks 1.0).
    if (
      !signature
        .split(' ')
        .slice(0, 8)
        .some((given) => isEqual(given, expected))
    )
      throw unsigned('its signature is wrong');
    if (!(Math.abs(clock.nowMs() - seconds * 1000) <= windowMs))
      throw unsigned('its time is more than five minutes off; sign it again with the time of now');
  }

  async function judge(decision: SignedDecision): Promise<Request> {
    await check(decision);
    const { id } = decision;
    const { approval, member, token, decision: verdict, reason = '' } = readBody(decision.body);
    if (approval !== id)
      throw new GatewayError('forbidden', 'What was signed is a decision on another call than this address is for.');
    if (!isEqual(token, tokenOf(id, member)))
      throw new GatewayError(
        'forbidden',
        `This token does not decide on ${id} in the name of "${member}"; take it from the event.`,
      );
    const caller = standIn(member);
    const request = await approvals.find(id);
    if (request !== undefined && mayBeRequester(request.requester, caller))
      throw mayNotDecide(request, caller, approvals.agreed(request));
    return await approvals.decide(id, caller, verdict, reason, { door: 'webhook' });
  }

  async function note({ id }: SignedDecision, error: GatewayError): Promise<void> {
    const now = Math.floor(clock.nowMs() / aMinuteMs);
    if (now !== minute) noted = 0;
    minute = now;
    noted += 1;
    if (noted > mostRefusalsNoted) return;
    const action = `decide_approval:${error.code}`;
    // A journal that cannot be written to refuses decisions by itself; here nothing was changed.
    await journal
      .change({ principal: 'webhook', door: 'webhook', action, object: `approval/${id.slice(0, 64)}` })
      .catch(() => {});
  }

  return {
    async confide({ kind, data }) {
      if (kind !== 'approval.requested' || typeof data.approval !== 'string') return {};
      const request = await approvals.find(data.approval);
      if (request?.row.state !== 'pending') return {};
      const tokens = settings.members.flatMap((member) => {
        const caller = callerOf(member);
        const mayDecide = caller !== undefined && mayAdminister(caller) && maySay(request, caller);
        return mayDecide ? [[member, tokenOf(request.row.id, member)] as const] : [];
      });
      const url = pageUrl();
      if (tokens.length === 0) return {};
      const at = url === undefined ? null : `${url}/api/approvals/${request.row.id}/decisions/signed`;
      return { decisions: { url: at, tokens: Object.fromEntries(tokens) } };
    },
    async decide(decision) {
      try {
        return await judge(decision);
      } catch (thrown) {
        await note(decision, toGatewayError(thrown));
        throw thrown;
      }
    },
  };
}

function maySay(request: Request, caller: Caller): boolean {
  return isDecider(request, caller) && !mayBeRequester(request.requester, caller);
}

function readBody(body: Buffer): z.output<typeof decisionBody> {
  let value: unknown;
  try {
    // Of two members of one name, whoever signed may have looked at the other one.
    scanMessage(body);
    value = JSON.parse(body.toString());
  } catch (error) {
    if (error instanceof ScanError && error.isRefusal)
      throw new GatewayError('invalid_params', `The body is no decision: ${error.message}.`);
    throw new GatewayError('parse_error', 'The body of the request is not valid JSON.');
  }
  const read = decisionBody.safeParse(value);
  if (read.success) return read.data;
  const flaws = read.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
  throw new GatewayError('invalid_params', `The body is no decision. ${flaws.join('; ')}`);
}

function unsigned(why: string): GatewayError {
  return new GatewayError('unauthenticated', `This decision was not taken: ${why}.`);
}

function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
