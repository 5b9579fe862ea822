/** What the events of a streaming answer say. */

import { GatewayError } from '../errors.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { parseExact } from '../wire/parse-exact.ts';
import type { ClientDialect, TextSlot } from './dialect.ts';

export interface EventTexts {
  readonly slots: readonly TextSlot[];
  /** With what was replaced; undefined where the event has no object. */
  document(): JsonObject | undefined;
}

const nothing: EventTexts = { slots: [], document: () => undefined };

/**
 * Reads one event after the other; throws GatewayError for what is no JSON. A model's events differ in a few letters: one that has all
 * the rest of an earlier one is not parsed, for all of it but those letters is known.
 */
export class EventTextReader {
  readonly #dialect: Pick<ClientDialect, 'textsOf'>;
  #before: { readonly start: string; readonly rest: string; readonly channel: string } | undefined;

  constructor(dialect: Pick<ClientDialect, 'textsOf'>) {
    this.#dialect = dialect;
  }

  read(data: string | undefined): EventTexts {
    if (data === undefined) return nothing;
    const text = this.#textIn(data);
    if (text !== undefined) return this.#alike(data, text, this.#before!.channel);
    if (!opensObject.test(data)) return nothing;
    const document = parse(data);
    const slots = this.#dialect.textsOf(document);
    this.#remember(data, slots);
    return { slots, document: () => document };
  }

  #textIn(data: string): string | undefined {
    const before = this.#before;
    if (before === undefined || !data.startsWith(before.start) || !data.endsWith(before.rest)) return undefined;
    const text = data.slice(before.start.length, data.length - before.rest.length);
    return text === '' || notLiteral.test(text) ? undefined : text;
  }

  #alike(data: string, text: string, channel: string): EventTexts {
    let document: JsonObject | undefined;
    const replace = (by: string) => {
      document = parse(data);
      for (const slot of this.#dialect.textsOf(document)) slot.replace(by);
    };
    return { slots: [{ text, channel, replace }], document: () => document ?? parse(data) };
  }

  // Where all strings are spelled as they are and this one stands there once, with its quotes, that place is the text's and no other's.
  #remember(data: string, slots: readonly TextSlot[]): void {
    const [only] = slots;
    if (only === undefined || slots.length > 1 || only.text === '' || data.includes('\\')) return;
    const quoted = `"${only.text}"`;
    const at = data.indexOf(quoted);
    if (at < 0 || data.indexOf(quoted, at + 1) >= 0) return;
    this.#before = { start: data.slice(0, at + 1), rest: data.slice(at + quoted.length - 1), channel: only.channel };
  }
}

/** What a string in JSON cannot hold as it is (RFC 8259 section 7). */
const notLiteral = /["\\\x00-\x1f]/;

/** JSON may begin with blanks (RFC 8259 section 2), and whoever reads it passes over them. */
const opensObject = /^[ \t\n\r]*\{/;

// What cannot be read cannot be vouched for.
function parse(data: string): JsonObject {
  try {
    const document = mayHaveLongNumber(data) ? parseExact(data) : JSON.parse(data);
    if (isObject(document)) return document;
  } catch {}
  throw new GatewayError('upstream_failed', 'The model sent an event that is not valid JSON; repeating the call may help.');
}

const longNumber = /[0-9][0-9.eE+-]{15}/;
const ofNumbers: ReadonlySet<number> = new Set([...'0123456789.eE+-'].map((sign) => sign.charCodeAt(0)));

// Sixteen signs in a row have one at each sixteenth place.
function mayHaveLongNumber(data: string): boolean {
  for (let at = 15; at < data.length; at += 16)
    if (ofNumbers.has(data.charCodeAt(at))) {
      const from = Math.max(0, at - 15);
      if (longNumber.test(data.slice(from, at + 16))) return true;
    }
  return false;
}
