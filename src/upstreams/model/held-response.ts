import { timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import { type HmacKey, hmac } from '../../hmac.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/json-scan.ts';
import { memberTexts, writeMembers } from '../../wire/member-texts.ts';
import { withData } from '../../wire/sse-cutter.ts';
import { readEvent } from './event-splitter.ts';
import type { ModelCallPorts } from './model-calls.ts';
import { hashText } from './sticky.ts';

// What Responses keeps lies with the provider that made it, and belongs to whoever it was made for. Its id says with which target and
// proves for whom, so that every replica knows, also after a restart.

const marked = /^resp_gh([0-9a-f]{8})([0-9a-f]{32})_(.{1,500})$/;

/** Whose a response is, and with which target it lies. */
interface Place {
  readonly key: HmacKey;
  /** `models/fast`. */
  readonly model: string;
  readonly target: string;
  /** The consumer; where there is none the member, or the caller. */
  readonly owner: string;
}

/** A provider's id as clients know it. */
function markId(id: string, place: Place): string {
  return `resp_gh${markOf(place.target)}${proofOf(id, place)}_${id}`;
}

function markOf(target: string): string {
  return hashText(target).toString(16).padStart(8, '0');
}

function proofOf(id: string, { key, model, target, owner }: Place): string {
  return hmac(key, JSON.stringify([owner, model, target, id]), 'hex').slice(0, 32);
}

/** The provider's own id of the response that a request goes on from; undefined where it goes on from none. */
export function previousId({ previous_response_id: id }: JsonObject): string | undefined {
  return typeof id === 'string' ? (marked.exec(id)?.[3] ?? id) : undefined;
}

/** Of whom a call is, as far as responses are concerned. */
export function ownerOf({ consumer, member, id }: Facts['caller'], principal: string): string {
  if (consumer !== '') return `consumer ${consumer}`;
  return member !== '' ? `member ${member}` : `caller ${id || principal}`;
}

/**
 * The places that a request of Responses may go to: of `among`, the one where the response is that it goes on from, which must be its
 * caller's own. Throws GatewayError `invalid_request`.
 */
export function whereHeld(
  { id: model, targets, routing, responseKey: key }: ModelCallPorts,
  { previous_response_id: id }: JsonObject,
  among: readonly number[] | undefined,
  owner: string,
): readonly number[] | undefined {
  if (id === undefined || id === null) return among;
  const [, mark, proof = '', own = ''] = (typeof id === 'string' && marked.exec(id)) || [];
  const holder = [...targets.keys()].find((place) => {
    const target = targets[place]?.config.name ?? '';
    if (markOf(target) !== mark || targets[place]?.speaks('responses') !== true) return false;
    return timingSafeEqual(Buffer.from(proof), Buffer.from(proofOf(own, { key, model, target, owner })));
  });
  if (holder === undefined)
    throw refusal(
      `"previous_response_id" names no response of yours that a target of ${model} keeps: it is of another model, was answered from the cache or by a target that keeps none, or its target is gone. Send the whole conversation as input.`,
    );
  if (!(among ?? routing.reachable()).includes(holder))
    throw refusal(
      `The response that "previous_response_id" names is kept by a target of ${model} to which this call may not go. Send the whole conversation as input.`,
    );
  return [holder];
}

function refusal(text: string): GatewayError {
  return new GatewayError('invalid_request', text, { data: { param: 'previous_response_id' } });
}

/** Ids of responses in the answer of one call. */
export class ResponseMarks {
  readonly #place: Place;

  constructor(place: Place) {
    this.#place = place;
  }

  /** A whole answer. */
  body(bytes: Buffer): Buffer {
    const value = parseExact(bytes.toString());
    return isObject(value) ? Buffer.from(writeMembers(memberTexts(value), this.#changes(value))) : bytes;
  }

  /** One event; the very bytes, where it tells of no response as a whole. */
  event(event: Buffer, text: string): Buffer {
    if (!text.includes('"response":')) return event;
    const read = readEvent(event);
    if (read === undefined) return event;
    const value = parseExact(read.data);
    if (!isObject(value) || !isObject(value.response)) return event;
    const response = { ...value.response, ...this.#changes(value.response) };
    return withData({ bytes: event, data: read.data }, JSON.stringify({ ...value, response }));
  }

  #changes({ id, previous_response_id: previous }: JsonObject): JsonObject {
    const changes: JsonObject = {};
    if (typeof id === 'string') changes.id = markId(id, this.#place);
    if (typeof previous === 'string') changes.previous_response_id = markId(previous, this.#place);
    return changes;
  }
}
