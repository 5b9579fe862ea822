import { isObject, type Json, longNumber } from '../../wire/json.ts';
import { encode, encodeReserved } from './percent.ts';
import { Refusal } from './refusal.ts';

// How values become text in a path, a query, a header or a cookie: OpenAPI 3.1 section 4.8.12 "Style Values", which follows RFC 6570.
// A null within an array or object is left out, as an undefined value is there.

export interface Style {
  readonly style: 'matrix' | 'label' | 'simple' | 'form' | 'spaceDelimited' | 'pipeDelimited' | 'deepObject' | 'cookie';
  readonly explode: boolean;
  readonly allowReserved: boolean;
  readonly allowEmptyValue: boolean;
}

type Encode = (text: string) => string;

/** `name=value` pairs, joined with `&`, for a query or a form; undefined where there is nothing to send. */
export function encodePairs(
  name: string,
  { style, explode, allowReserved, allowEmptyValue }: Style,
  value: Json,
): string | undefined {
  const write = allowReserved ? encodeReserved : encode;
  const key = encode(name);
  if (style === 'deepObject') return encodeDeep(name, key, value, write);
  const separator = separators[style] ?? ',';
  if (Array.isArray(value)) {
    const items = value.filter(isPresent).map((item) => write(primitive(item)));
    if (items.length === 0) return allowEmptyValue ? `${key}=` : undefined;
    if (explode) return items.map((item) => `${key}=${item}`).join('&');
    return `${key}=${items.join(separator)}`;
  }
  if (isMap(value)) {
    const members = Object.entries(value).filter(([, member]) => isPresent(member));
    if (members.length === 0) return undefined;
    if (explode) return members.map(([member, item]) => `${encode(member)}=${write(primitive(item))}`).join('&');
    return `${key}=${members.flatMap(([member, item]) => [write(member), write(primitive(item))]).join(separator)}`;
  }
  return `${key}=${write(primitive(value))}`;
}

const separators: Partial<Record<Style['style'], string>> = { form: ',', spaceDelimited: '%20', pipeDelimited: '%7C' };

/** `filter[color]=red&filter[size][min]=3&filter[tags]=a&filter[tags]=b`; the brackets are encoded. */
function encodeDeep(name: string, key: string, value: Json, write: Encode): string | undefined {
  if (!isMap(value)) throw new Refusal(`The argument for ${name} must be an object.`);
  const parts: string[] = [];
  const walk = (prefix: string, inner: Json) => {
    if (Array.isArray(inner)) {
      for (const item of inner) if (isPresent(item)) parts.push(`${prefix}=${write(primitive(item))}`);
    } else if (isMap(inner)) {
      for (const [member, item] of Object.entries(inner)) if (isPresent(item)) walk(`${prefix}%5B${encode(member)}%5D`, item);
    } else parts.push(`${prefix}=${write(primitive(inner))}`);
  };
  walk(key, value);
  return parts.length === 0 ? undefined : parts.join('&');
}

/** What stands in a path in place of `{name}`, behind whatever stands before it there. */
export function encodePathValue(name: string, { style, explode }: Style, value: Json): string {
  const key = encode(name);
  if (style === 'matrix') return matrix(key, explode, value);
  if (style === 'label') {
    const text = listed(explode, value, explode ? '.' : ',', encode);
    return `.${text}`;
  }
  return listed(explode, value, ',', encode);
}

function matrix(key: string, explode: boolean, value: Json): string {
  const pair = (text: string, of = key) => (text === '' ? `;${of}` : `;${of}=${text}`);
  if (Array.isArray(value) && explode) {
    return value
      .filter(isPresent)
      .map((item) => pair(encode(primitive(item))))
      .join('');
  }
  if (isMap(value) && explode) {
    const members = Object.entries(value).filter(([, item]) => isPresent(item));
    return members.map(([member, item]) => pair(encode(primitive(item)), encode(member))).join('');
  }
  return pair(listed(false, value, ',', encode));
}

/** What a header holds: `simple` style, without percent-encoding (OpenAPI 3.1 section 4.8.12). */
export function encodeHeaderValue({ explode }: Style, value: Json): string {
  return listed(explode, value, ',', (text) => text);
}

/** `name=value` pairs of a cookie. */
export function encodeCookie(name: string, { style, explode, allowReserved }: Style, value: Json): string | undefined {
  // The style of OpenAPI 3.2 writes values as they are; only what would end a cookie is encoded.
  const write: Encode =
    style === 'cookie' ? (text) => text.replaceAll(notInCookies, encode) : allowReserved ? encodeReserved : encode;
  const key = name.replaceAll(notInCookies, encode);
  if (explode && Array.isArray(value)) {
    const items = value.filter(isPresent).map((item) => `${key}=${write(primitive(item))}`);
    return items.length === 0 ? undefined : items.join('; ');
  }
  if (explode && isMap(value)) {
    const members = Object.entries(value).filter(([, item]) => isPresent(item));
    const pairs = members.map(([member, item]) => `${member.replaceAll(notInCookies, encode)}=${write(primitive(item))}`);
    return pairs.length === 0 ? undefined : pairs.join('; ');
  }
  return `${key}=${listed(false, value, ',', write)}`;
}

/** RFC 6265 section 4.1.1 cookie-octet leaves these out; `=` and `%` would be read as something else. */
const notInCookies = /[^\x21\x23\x24\x26-\x2b\x2d-\x3a\x3c\x3e-\x5b\x5d-\x7e]/gu;

function listed(explode: boolean, value: Json, separator: string, write: Encode): string {
  if (Array.isArray(value)) {
    return value
      .filter(isPresent)
      .map((item) => write(primitive(item)))
      .join(separator);
  }
  if (!isMap(value)) return write(primitive(value));
  const members = Object.entries(value).filter(([, item]) => isPresent(item));
  return members.map(([member, item]) => `${write(member)}${explode ? '=' : separator}${write(primitive(item))}`).join(separator);
}

/** A value that is no list and no map, as text: what is nested deeper than a style can say is written as JSON. */
function primitive(value: Json): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null) return '';
  return (isObject(value) ? longNumber(value) : undefined) ?? JSON.stringify(value);
}

function isMap(value: Json): value is { [key: string]: Json } {
  return isObject(value) && longNumber(value) === undefined;
}

function isPresent(value: Json | undefined): value is Json {
  return value !== null && value !== undefined;
}
