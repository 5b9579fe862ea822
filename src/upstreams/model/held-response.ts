import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/json-scan.ts';
import { memberTexts, writeMembers } from '../../wire/member-texts.ts';
import { withData } from '../../wire/sse-cutter.ts';
import { readEvent } from './event-splitter.ts';
import type { ModelCallPorts } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import { hashText } from './sticky.ts';

// What Responses keeps lies with the provider that made it. Its id says with which target, so that every replica knows, also after a restart.

const marked = /^resp_gh([0-9a-f]{8})_(.{1,500})$/;

/** A provider's id as clients of a model with several targets know it. */
function markId(id: string, target: string): string {
  return `resp_gh${markOf(target)}_${id}`;
}

function markOf(target: string): string {
  return hashText(target).toString(16).padStart(8, '0');
}

/** The provider's own id of the response that a request goes on from; undefined where it goes on from none. */
export function previousId({ previous_response_id: id }: JsonObject): string | undefined {
  return typeof id === 'string' ? (marked.exec(id)?.[2] ?? id) : undefined;
}

/**
 * The places that a request of Responses may go to: of `among`, the one where the response is that it goes on from. Throws
 * GatewayError `invalid_request`.
 */
export function whereHeld(
  { id: model, targets, routing }: ModelCallPorts,
  { previous_response_id: id }: JsonObject,
  among: readonly number[] | undefined,
): readonly number[] | undefined {
  if (typeof id !== 'string') return among;
  const mark = marked.exec(id)?.[1];
  const speakers = [...targets.keys()].filter((place) => targets[place]?.speaks('responses'));
  const holder =
    mark === undefined
      ? speakers.length === 1 || targets.length === 1
        ? (speakers[0] ?? 0)
        : undefined
      : speakers.find((place) => markOf(targets[place]?.config.name ?? '') === mark);
  if (holder === undefined)
    throw refusal(
      `"previous_response_id" names no response that a target of ${model} keeps: it is of another model, was answered from the cache or by a target that keeps none, or its target is gone. Send the whole conversation as input.`,
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

/** Ids of responses in answers of one target of several. */
export class ResponseMarks {
  readonly #target: string;

  constructor({ config }: OpenTarget) {
    this.#target = config.name;
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
    if (typeof id === 'string') changes.id = markId(id, this.#target);
    if (typeof previous === 'string') changes.previous_response_id = markId(previous, this.#target);
    return changes;
  }
}
