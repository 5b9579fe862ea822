import { randomBytes } from 'node:crypto';
import { isObject, type Json, type JsonObject, longNumber } from '../../wire/json.ts';
import type { BodyPlan, PropertyPlan } from './conversion.ts';
import { encodePairs } from './encode-parameter.ts';
import { Refusal } from './refusal.ts';

interface Body {
  /** The value of the header. */
  readonly contentType: string;
  readonly bytes: string | Buffer;
}

/** Writes the argument of one operation's body. Throws Refusal. */
export type WriteBody = (value: Json) => Body;

const mediaType =
  /^[a-z0-9!#$&^_.+-]{1,100}\/[a-z0-9!#$&^_.+-]{1,100}(\s*;\s*[a-z0-9!#$&^_.+-]+=("[\x20\x21\x23-\x5b\x5d-\x7e]*"|[a-z0-9!#$&^_.+-]+))*$/i;

/** Undefined where the plan's media type cannot be sent. */
export function compileBody(plan: BodyPlan): WriteBody | undefined {
  const { argument, contentType, encoding } = plan;
  const isExact = mediaType.test(contentType);
  switch (encoding) {
    case 'json':
      // What was judged is what is sent, with every digit of a long number.
      return isExact ? (value) => ({ contentType, bytes: JSON.stringify(value) }) : undefined;
    case 'text':
      return isExact ? (value) => ({ contentType: withCharset(contentType), bytes: textOf(value) }) : undefined;
    case 'form':
      return isExact ? (value) => ({ contentType, bytes: writeForm(plan, asMap(argument, value)) }) : undefined;
    case 'multipart':
      return (value) => writeMultipart(plan, asMap(argument, value));
    case 'binary':
      return (value) => {
        const file = readFile(argument, value);
        return { contentType: isExact ? contentType : file.contentType, bytes: file.bytes };
      };
  }
}

function withCharset(contentType: string): string {
  return /charset=/i.test(contentType) || !/^text\//i.test(contentType) ? contentType : `${contentType}; charset=utf-8`;
}

function asMap(argument: string, value: Json): JsonObject {
  if (!isObject(value)) throw new Refusal(`The argument "${argument}" must be an object.`);
  return value;
}

function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** application/x-www-form-urlencoded: each property by its style, as in a query (OpenAPI 3.1 section 4.8.15.1). */
function writeForm({ properties }: BodyPlan, value: JsonObject): string {
  const pairs: string[] = [];
  for (const [name, given] of Object.entries(value)) {
    if (given === null) continue;
    const plan = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const asJson =
      plan?.style === undefined && (isJson(plan?.contentType) || (isObject(given) && longNumber(given) === undefined));
    const written = asJson ? JSON.stringify(given) : given;
    const style = {
      style: plan?.style ?? 'form',
      explode: plan?.explode ?? true,
      allowReserved: plan?.allowReserved ?? false,
    } as const;
    const pair = encodePairs(name, { ...style, allowEmptyValue: false }, written);
    if (pair !== undefined) pairs.push(pair);
  }
  return pairs.join('&');
}

function isJson(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/([a-z0-9.+-]+\+)?json\b/i.test(contentType);
}

/** multipart/form-data (RFC 7578): a part per property, and per item of a list. The boundary is of this request alone. */
function writeMultipart({ contentType, properties }: BodyPlan, value: JsonObject): Body {
  const boundary = `gatehouse-${randomBytes(18).toString('hex')}`;
  const pieces: Buffer[] = [];
  for (const [name, given] of Object.entries(value)) {
    if (given === null) continue;
    const plan = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const isList = Array.isArray(given) && !isJson(plan?.contentType);
    for (const item of isList ? given : [given]) if (item !== null) pieces.push(...writePart(boundary, name, item, plan));
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  const kind = mediaType.test(contentType) ? contentType.replace(/;.*$/, '') : 'multipart/form-data';
  return { contentType: `${kind}; boundary=${boundary}`, bytes: Buffer.concat(pieces) };
}

function writePart(boundary: string, name: string, value: Json, plan: PropertyPlan | undefined): Buffer[] {
  const disposition = `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(name)}"`;
  if (plan?.isFile) {
    const { filename, contentType, bytes } = readFile(name, value);
    const type = exact(plan.contentType) ?? contentType;
    return [Buffer.from(`${disposition}; filename="${quoted(filename)}"\r\nContent-Type: ${type}\r\n\r\n`), bytes, lineEnd];
  }
  const isPlain = typeof value !== 'object' || value === null || longNumber(value) !== undefined;
  const type = exact(plan?.contentType) ?? (isPlain ? undefined : 'application/json');
  const head = type === undefined ? disposition : `${disposition}\r\nContent-Type: ${type}`;
  const written = typeof value === 'string' && isJson(type) ? JSON.stringify(value) : textOf(value);
  return [Buffer.from(`${head}\r\n\r\n${written}\r\n`)];
}

const lineEnd = Buffer.from('\r\n');

/** One media type; a list of them or a range leaves the choice to us. */
function exact(contentType: string | undefined): string | undefined {
  return contentType !== undefined && mediaType.test(contentType) ? contentType : undefined;
}

/** As browsers write names there: a quote or a line end would end the name. */
function quoted(text: string): string {
  return text.replaceAll(/[\x00-\x1f"\x7f]/g, (character) => encodeURIComponent(character));
}

interface FileRead {
  readonly filename: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** `{ data: base64, filename?, contentType? }`, or the base64 alone. Throws Refusal. */
function readFile(argument: string, value: Json): FileRead {
  const { data, filename, contentType } = isObject(value) ? value : { data: value };
  if (typeof data !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(data))
    throw new Refusal(`The file "${argument}" needs "data" with its bytes as base64.`);
  return {
    filename: typeof filename === 'string' && filename !== '' ? safeName(filename) : 'file',
    contentType: (typeof contentType === 'string' ? exact(contentType) : undefined) ?? 'application/octet-stream',
    bytes: Buffer.from(data, 'base64'),
  };
}

/** The last part of a path, without what a file system or a header reads as something else. */
function safeName(filename: string): string {
  const last = filename.split(/[/\\]/).at(-1) ?? '';
  const name = last.replaceAll(/[\p{Cc}\p{Cf}"<>:|?*]/gu, '_').slice(0, 200);
  return name === '' || name === '.' || name === '..' ? 'file' : name;
}
