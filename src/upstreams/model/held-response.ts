import { timingSafeEqual } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import { type HmacKey, hmac } from '../../hmac.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { UpstreamCall } from '../upstream.ts';
import type { ModelCallPorts } from './model-calls.ts';
import { hashText } from './sticky.ts';

// What Responses keeps lies with the provider that made it, and belongs to whoever it was made for. Its id, and the ids of the items in
// it, say with which target and prove for whom, so that every replica knows, also after a restart.

const marked = /^resp_gh([0-9a-f]{8})([0-9a-f]{32})_(.{1,500})$/;
const markedItem = /^[a-z]{1,9}_gh([0-9a-f]{8})([0-9a-f]{32})_(.{1,500})$/;

/** Whose a response is, and with which target it lies. */
export interface Place {
  readonly key: HmacKey;
  /** `models/fast`. */
  readonly model: string;
  readonly target: string;
  /** The consumer; where there is none the member, or the caller. */
  readonly owner: string;
}

/** The provider's id of a response as clients know it. */
export function markId(id: string, place: Place): string {
  return `resp_gh${markOf(place.target)}${proofOf(id, place)}_${id}`;
}

/** The id of an item, or of what else is kept, as clients know it; `prefix` are up to nine small letters. */
export function markHeld(prefix: string, id: string, place: Place): string {
  return `${prefix}_gh${markOf(place.target)}${proofOf(`item ${id}`, place)}_${id}`;
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

/** Whether an id is one that an item has here, whoever's it is. */
export function isItemMark(id: Json | undefined): boolean {
  return typeof id === 'string' && markedItem.test(id);
}

/** The provider's own id of an item that lies in this place; undefined for any other. */
export function itemIdAt(id: Json | undefined, place: Place): string | undefined {
  const [, mark, proof = '', own = ''] = (typeof id === 'string' && markedItem.exec(id)) || [];
  if (mark !== markOf(place.target)) return undefined;
  return timingSafeEqual(Buffer.from(proof), Buffer.from(proofOf(`item ${own}`, place))) ? own : undefined;
}

/** Of whom a call is, as far as responses are concerned. */
export function ownerOf({ consumer, member, id }: Facts['caller'], principal: string): string {
  if (consumer !== '') return `consumer ${consumer}`;
  return member !== '' ? `member ${member}` : `caller ${id || principal}`;
}

/** Whose what this target makes of a call is. */
export function placeOf(
  { id: model, factsOf, responseKey: key }: ModelCallPorts,
  call: UpstreamCall,
  target: { readonly config: { readonly name: string } },
): Place {
  return { key, model, target: target.config.name, owner: ownerOf(factsOf(call).caller, call.client.principal) };
}

/**
 * The places that a request of Responses may go to: of `among`, the one where the response is that it goes on from, which must be its
 * caller's own. Throws GatewayError `invalid_request`.
 */
export function whereHeld(
  ports: ModelCallPorts,
  body: JsonObject,
  among: readonly number[] | undefined,
  owner: string,
): readonly number[] | undefined {
  const { id: model, targets, routing, responseKey: key } = ports;
  const { previous_response_id: id } = body;
  if (id === undefined || id === null) return withItems(ports, body, among, owner);
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
  return withItems(ports, body, [holder], owner);
}

/** Of these places those where every item is that the request refers to. */
function withItems(
  { id: model, targets, routing, responseKey: key }: ModelCallPorts,
  { input }: JsonObject,
  among: readonly number[] | undefined,
  owner: string,
): readonly number[] | undefined {
  const named = Array.isArray(input) ? input.filter((item) => isObject(item) && isReference(item) && isItemMark(item.id)) : [];
  if (named.length === 0) return among;
  const holders = (among ?? routing.reachable()).filter((place) => {
    const target = targets[place];
    if (target?.speaks('responses') !== true) return false;
    const at = { key, model, target: target.config.name, owner };
    return named.every((item) => isObject(item) && itemIdAt(item.id, at) !== undefined);
  });
  if (holders.length > 0) return holders;
  throw refusal(
    `"input" refers to items that are not all kept by one target of ${model} to which this call may go, or are not yours. Send the items themselves.`,
    'input',
  );
}

/** An item of Responses that stands for one that is kept (OpenAI API reference, item_reference; its type may be left out). */
export function isReference({ id, type, role, result }: JsonObject): boolean {
  if (!isSaid(id)) return false;
  if (!isSaid(type)) return !isSaid(role);
  return type === 'item_reference' || (type === 'image_generation_call' && !isSaid(result));
}

function isSaid(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}

function refusal(text: string, param = 'previous_response_id'): GatewayError {
  return new GatewayError('invalid_request', text, { data: { param } });
}
