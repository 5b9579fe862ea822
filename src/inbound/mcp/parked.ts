import { createHash, randomUUID } from 'node:crypto';
import type { ApprovedRound } from '../../call/ask.ts';
import { findToolbox } from '../../call/resolve.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import { seal, unseal } from '../../seal.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { Reply } from './reply.ts';

/** How long a client may think before it answers; people read slowly. */
const answerWithinMs = 10 * 60_000;
const maxParked = 10_000;
const maxParkedPerCaller = 200;

/**
 * What a modern client carries from one round of a call to the next. It is sealed, and bound to its caller and to the request it
 * belongs to: `requestState` comes back from outside (MCP 2026-07-28 basic/patterns/mrtr).
 */
export type State =
  /** A live call to a legacy upstream that waits for this answer. */
  | { readonly kind: 'parked'; readonly id: string }
  /** Its person was sent to a page to sign in to the upstream. */
  | { readonly kind: 'sign-in' }
  /** Its person was asked for a decision, or sent to the page where it is made. */
  | { readonly kind: 'approval'; readonly id: string; readonly wasForm: boolean }
  /** The upstream's own state, or none, of a call that people may have had to agree to. */
  | { readonly kind: 'upstream'; readonly state: string | undefined; readonly approval?: ApprovedRound | undefined };

interface Sealed {
  readonly caller: string;
  readonly digest: string;
  readonly expiresAtMs: number;
  readonly state: State;
}

/** Takes up a call that waits: with what the client answered, and the round the next answer goes to. */
type Resume = (answers: JsonObject | undefined, round: Round) => void;

interface Parked {
  readonly callerId: string;
  readonly cancel: Cancel;
  readonly resume: Resume;
  readonly timer: NodeJS.Timeout;
}

/** Where the answer to one request of a call goes; the client may come back for more. */
export interface Round {
  readonly reply: Reply;
  /** JSON source of the request's id. */
  readonly id: string;
  readonly progressToken: string | number | undefined;
}

/** Calls that wait for their client's next round, and the seal on what it brings. */
export class ParkedCalls {
  readonly #key: Buffer;
  readonly #clock: Clock;
  readonly #parked = new Map<string, Parked>();

  constructor(key: Buffer, clock: Clock) {
    this.#key = key;
    this.#clock = clock;
  }

  get size(): number {
    return this.#parked.size;
  }

  /** `expiresAtMs`: where what it waits for has a time of its own. */
  seal(caller: string, digest: string, state: State, expiresAtMs = this.#clock.nowMs() + answerWithinMs): string {
    const sealed: Sealed = { caller, digest, state, expiresAtMs };
    return seal(this.#key, 'request-state', sealed);
  }

  /** Throws GatewayError `conversation_lost` for anything that is not this caller's state for this very request. */
  unseal(caller: string, digest: string, requestState: string): State {
    const sealed = unseal(this.#key, 'request-state', requestState) as Sealed | undefined;
    if (sealed === undefined || sealed.caller !== caller || sealed.digest !== digest) {
      throw new GatewayError('conversation_lost', '"requestState" does not belong to this request; call again without it.');
    }
    if (sealed.expiresAtMs < this.#clock.nowMs()) {
      throw new GatewayError('conversation_lost', 'The time to answer is over; call again from the start.');
    }
    return sealed.state;
  }

  /** Holds a call open until its client comes back with the id. Throws GatewayError `upstream_busy`. */
  park(callerId: string, cancel: Cancel, resume: Resume): string {
    let own = 0;
    for (const parked of this.#parked.values()) if (parked.callerId === callerId) own++;
    if (this.#parked.size >= maxParked || own >= maxParkedPerCaller) {
      throw new GatewayError('upstream_busy', 'Too many calls already wait for an answer of their client.', {
        retryAfterMs: 60_000,
      });
    }
    const id = randomUUID();
    const timer = setTimeout(() => {
      this.#parked.delete(id);
      cancel.cancel('the client did not answer in time');
    }, answerWithinMs).unref();
    this.#parked.set(id, { callerId, cancel, resume, timer });
    return id;
  }

  /** Takes a parked call up again, once. Throws GatewayError `conversation_lost`. */
  take(callerId: string, id: string): Resume {
    const parked = this.#parked.get(id);
    if (parked === undefined || parked.callerId !== callerId) {
      throw new GatewayError(
        'conversation_lost',
        'The call that asked for this answer is gone (answered already, given up, or the gateway was restarted); call again from the start.',
      );
    }
    clearTimeout(parked.timer);
    this.#parked.delete(id);
    return parked.resume;
  }

  cancelAll(): void {
    for (const parked of [...this.#parked.values()]) {
      clearTimeout(parked.timer);
      parked.cancel.cancel('the gateway is stopping');
    }
    this.#parked.clear();
  }
}

/** What sealed state belongs to: this request, at this toolbox, to this upstream. Throws GatewayError `not_found`. */
export function bindingOf(catalog: Catalog, name: string, method: string, params: JsonObject): string {
  const toolbox = findToolbox(catalog, name);
  const asked = typeof params.name === 'string' ? params.name : '';
  const owner =
    method === 'tools/call'
      ? toolbox.tools.get(asked)?.member
      : method === 'prompts/get'
        ? toolbox.prompts.get(asked)?.member
        : toolbox.uris.toUpstream(String(params.uri))?.member;
  return digestOf(`${name} ${owner?.id ?? ''} ${method}`, params);
}

/** What a round of a call must repeat exactly: a digest over where it goes and its params, whatever the order of members. */
function digestOf(where: string, params: JsonObject): string {
  return createHash('sha256')
    .update(`${where} ${JSON.stringify(sorted(params))}`)
    .digest('base64url');
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value) || 'rawJSON' in value) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] ?? null)]),
  );
}
