import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import { withData } from '../../wire/sse-cutter.ts';
import { readEvent } from './event-splitter.ts';
import { ownMembers } from './held-ids.ts';
import { markHeld, markId, type Place } from './held-response.ts';

// A mark proves that an answer was its owner's. An answer repeats what its client sent (metadata, schemas of tools, instructions), and
// whoever wrote somebody else's id there must not get it back proved: ids are marked where the provider alone says them.

/**
 * Ids of items, the more usual kinds. A request for consent to a tool of MCP is none of them: its answer names it under another member.
 */
const itemId = /^(?:msg|rs|fc|ctc|ws|fs|ci|ig|cu|lsh|sh|apc|tsc|cmp|mcp|mcpl)_[A-Za-z0-9_-]{1,300}$/;
/** The same in an event that speaks of an item; in a text of the model both quotes would be escaped. */
const itemIds = /"item_id":(\s*)"((?:msg|rs|fc|ctc|ws|fs|ci|ig|cu|lsh|sh|apc|tsc|cmp|mcp|mcpl)_[A-Za-z0-9_-]{1,300})"/g;
/** A container that code of an answer ran in. */
const containerId = /^cntr_[A-Za-z0-9_-]{1,300}$/;

/** More than any answer has; what is beyond that is made each time. */
const mostItems = 1_000;

/** Ids of responses, and of items in them, in the answer of one call. */
export class ResponseMarks {
  readonly #place: Place;
  readonly #bindsContainers: boolean;
  readonly #items = new Map<string, string>();

  constructor(place: Place, bindsContainers = true) {
    this.#place = place;
    this.#bindsContainers = bindsContainers;
  }

  /** A whole answer. */
  body(bytes: Buffer): Buffer {
    const value = parseExact(bytes.toString());
    return isObject(value) ? Buffer.from(JSON.stringify({ ...value, ...this.#response(value) })) : bytes;
  }

  /** One event, `text` with a character for each byte; the very bytes, where it tells of no response and no item. */
  event(event: Buffer, text: string): Buffer {
    if (isRead.test(text) || (this.#bindsContainers && text.includes('"container_id"'))) return this.#read(event);
    if (!text.includes('"item_id"')) return event;
    const marked = text.replace(itemIds, (_whole, blank: string, id: string) => `"item_id":${blank}"${this.#id(id)}"`);
    return marked === text ? event : Buffer.from(marked, 'latin1');
  }

  /** An event of a whole response or item, or one that names containers. */
  #read(event: Buffer): Buffer {
    const read = readEvent(event);
    if (read === undefined) return event;
    const value = parseExact(read.data);
    if (!isObject(value)) return event;
    const { response, item, item_id, part, annotation } = value;
    const changes: JsonObject = {};
    if (isObject(response)) changes.response = { ...response, ...this.#response(response) };
    if (isObject(item)) changes.item = this.#item(item);
    if (typeof item_id === 'string' && itemId.test(item_id)) changes.item_id = this.#id(item_id);
    if (isObject(part)) changes.part = this.#containers(part, 'answer');
    if (isObject(annotation)) changes.annotation = this.#containers(annotation, 'answer');
    return withData({ bytes: event, data: read.data }, JSON.stringify({ ...value, ...changes }));
  }

  /** Members of a response that are others for its client. */
  #response({ id, previous_response_id: previous, output, tools }: JsonObject): JsonObject {
    const changes: JsonObject = {};
    if (typeof id === 'string') changes.id = markId(id, this.#place);
    if (typeof previous === 'string') changes.previous_response_id = markId(previous, this.#place);
    if (Array.isArray(output)) changes.output = output.map((item) => (isObject(item) ? this.#item(item) : item));
    // Containers that the request named were seen to be its caller's own.
    if (Array.isArray(tools)) changes.tools = this.#containers(tools, 'request');
    return changes;
  }

  #item(item: JsonObject): JsonObject {
    const marked = this.#containers(item, 'answer');
    return typeof item.id === 'string' && itemId.test(item.id) ? { ...marked, id: this.#id(item.id) } : marked;
  }

  /** The same value where there are none. */
  #containers<Value extends Json>(value: Value, of: 'answer' | 'request'): Value {
    return this.#bindsContainers ? (withContainers(value, of, (id) => this.#id(id)) as Value) : value;
  }

  /** The same item is spoken of with each piece of it. */
  #id(id: string): string {
    let known = this.#items.get(id);
    if (known === undefined) {
      known = markHeld(id.slice(0, id.indexOf('_')), id, this.#place);
      if (this.#items.size < mostItems) this.#items.set(id, known);
    }
    return known;
  }
}

/** Events with more in them than the id of an item. */
const isRead = /"(?:response|item)"\s*:/;

/** Of an answer, tools that a server of MCP lists are that server's words; citations are the provider's. */
function isOthers(name: string, of: 'answer' | 'request'): boolean {
  if (of === 'request') return ownMembers.has(name);
  return name === 'tools' || (ownMembers.has(name) && name !== 'annotations');
}

/** With other ids of containers, wherever the provider may say them: what a client is looked through for when it comes back. */
function withContainers(value: Json, of: 'answer' | 'request', mark: (id: string) => string): Json {
  if (Array.isArray(value)) return value.map((item) => withContainers(item, of, mark));
  if (!isObject(value)) return value;
  let changed: JsonObject | undefined;
  for (const [name, member] of Object.entries(value)) {
    if (isOthers(name, of)) continue;
    const names = name === 'container_id' || (name === 'container' && of === 'request');
    const next =
      names && typeof member === 'string'
        ? containerId.test(member)
          ? mark(member)
          : member
        : typeof member === 'object' && member !== null
          ? withContainers(member, of, mark)
          : member;
    if (next === member) continue;
    changed ??= { ...value };
    // An own member, whatever its name.
    Object.defineProperty(changed, name, { value: next, enumerable: true, writable: true, configurable: true });
  }
  return changed ?? value;
}
