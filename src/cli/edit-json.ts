import { isObject, type Json, type JsonObject } from '../wire/json.ts';

/** The text cannot be edited safely. The message is a clause: "<file> ...". */
export class EditError extends Error {}

/**
 * The value of a JSON text with comments and trailing commas, as editors write it; undefined for one without any value.
 * Throws EditError with the line where it stops being that.
 */
export function parseJson(text: string): Json | undefined {
  const root = new JsonScanner(text).scan();
  return root === undefined ? undefined : toValue(text, root);
}

/**
 * Sets `section.name` of the object that `text` holds, and changes no other character, none at all where it says so already: comments, order, indentation and line ends
 * stay. Throws EditError where that cannot be done.
 */
export function setJsonMember(text: string, section: string, name: string, value: JsonObject): string {
  const before = parseJson(text) ?? {};
  if (!isObject(before)) throw new EditError('does not hold a JSON object');
  const inner = before[section] ?? {};
  if (!isObject(inner)) throw new EditError(`has something other than an object in "${section}"`);
  if (Object.hasOwn(inner, name) && sameJson(inner[name], value)) return text;
  const edited = edit(text, section, name, value);
  // Somebody's editor settings are no place for a bug of ours.
  const wanted = { ...before, [section]: { ...inner, [name]: value } };
  if (!sameJson(parseJson(edited), wanted))
    throw new EditError('is laid out in a way that cannot be edited without losing something');
  return edited;
}

/** Whether two values are the same JSON, whatever the order of their members. */
function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  if (!isObject(a) || !isObject(b)) return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

interface Scanned {
  readonly kind: 'object' | 'array' | 'scalar';
  readonly start: number;
  readonly end: number;
  readonly members: readonly ScannedMember[];
}

interface ScannedMember {
  /** Empty in arrays. */
  readonly key: string;
  readonly start: number;
  readonly value: Scanned;
  /** Behind the comma that follows, or behind the value where none does. */
  readonly end: number;
}

function edit(text: string, section: string, name: string, value: JsonObject): string {
  const layout = layoutOf(text);
  const root = new JsonScanner(text).scan();
  if (root === undefined) {
    const remarks = text.trimEnd();
    const source = render({ [section]: { [name]: value } }, '', layout);
    return `${remarks}${remarks === '' ? '' : layout.eol}${source}${layout.eol}`;
  }
  const holder = member(root, section);
  if (holder === undefined) return insert(text, root, section, { [name]: value }, layout);
  if (holder.value.kind !== 'object') return replace(text, holder.value, { [name]: value }, layout);
  const existing = member(holder.value, name);
  if (existing === undefined) return insert(text, holder.value, name, value, layout);
  return replace(text, existing.value, value, layout);
}

// The last one of that name is the one that parsers take.
function member(object: Scanned, key: string): ScannedMember | undefined {
  return object.members.findLast((candidate) => candidate.key === key);
}

interface Layout {
  readonly unit: string;
  readonly eol: string;
}

function layoutOf(text: string): Layout {
  return { unit: /\n([ \t]+)\S/.exec(text)?.[1] ?? '  ', eol: text.includes('\r\n') ? '\r\n' : '\n' };
}

function render(value: Json, indent: string, { unit, eol }: Layout): string {
  return JSON.stringify(value, null, unit).replaceAll('\n', `${eol}${indent}`);
}

function replace(text: string, old: Scanned, value: JsonObject, layout: Layout): string {
  const source = text.includes('\n') ? render(value, indentAt(text, old.start), layout) : JSON.stringify(value);
  return text.slice(0, old.start) + source + text.slice(old.end);
}

function insert(text: string, object: Scanned, key: string, value: JsonObject, layout: Layout): string {
  const last = object.members.at(-1);
  const base = indentAt(text, object.start);
  if (last === undefined) {
    const inside = text.slice(object.start + 1, object.end - 1).trimEnd();
    const indent = base + layout.unit;
    const source = `${layout.eol}${indent}${JSON.stringify(key)}: ${render(value, indent, layout)}${layout.eol}${base}`;
    return text.slice(0, object.start + 1) + inside + source + text.slice(object.end - 1);
  }
  const hasComma = last.end > last.value.end;
  if (!text.slice(object.start, object.end).includes('\n')) {
    const source = `${hasComma ? '' : ','}${JSON.stringify(key)}:${JSON.stringify(value)}`;
    return text.slice(0, last.end) + source + text.slice(last.end);
  }
  const indent = indentAt(text, last.start);
  const behind = endOfRemark(text, last.end);
  const comma = hasComma ? '' : ',';
  const source = `${layout.eol}${indent}${JSON.stringify(key)}: ${render(value, indent, layout)}`;
  const closesOnSameLine = !text.slice(behind, object.end - 1).includes('\n');
  const tail = closesOnSameLine ? layout.eol + base + text.slice(behind).trimStart() : text.slice(behind);
  return text.slice(0, last.value.end) + comma + text.slice(last.value.end, behind) + source + tail;
}

/** The white space that begins the line of this offset. */
function indentAt(text: string, offset: number): string {
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart, offset))?.[0] ?? '';
}

// A remark on the same line belongs to the member it follows.
function endOfRemark(text: string, offset: number): number {
  const match = /^(?:[ \t]*\/\*[^\n]*?\*\/)*[ \t]*(?:\/\/[^\r\n]*)?/.exec(text.slice(offset))?.[0].trimEnd() ?? '';
  return offset + match.length;
}

function toValue(text: string, node: Scanned): Json {
  if (node.kind === 'array') return node.members.map(({ value }) => toValue(text, value));
  if (node.kind === 'scalar') return JSON.parse(text.slice(node.start, node.end)) as Json;
  // fromEntries defines, so a member called __proto__ is a member.
  return Object.fromEntries(node.members.map(({ key, value }) => [key, toValue(text, value)]));
}

const maxDepth = 200;

class JsonScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Scanned | undefined {
    if (this.#text.startsWith('\uFEFF')) this.#at = 1;
    this.#skip();
    if (this.#at === this.#text.length) return undefined;
    const root = this.#value(0);
    this.#skip();
    if (this.#at < this.#text.length) this.#fail('something follows the end of the JSON');
    return root;
  }

  #value(depth: number): Scanned {
    if (depth > maxDepth) this.#fail(`nested more than ${maxDepth} deep`);
    const first = this.#text[this.#at];
    if (first === '{' || first === '[') return this.#members(first, depth);
    const start = this.#at;
    const scalar = /"(?:[^"\\\n\r]|\\.)*"|-?\d[\d.eE+-]*|true|false|null/y;
    scalar.lastIndex = start;
    const source = scalar.exec(this.#text)?.[0];
    if (source === undefined || !isJson(source)) this.#fail('this is not JSON');
    this.#at += source.length;
    return { kind: 'scalar', start, end: this.#at, members: [] };
  }

  #members(open: '{' | '[', depth: number): Scanned {
    const start = this.#at;
    const close = open === '{' ? '}' : ']';
    const members: ScannedMember[] = [];
    this.#at++;
    for (;;) {
      this.#skip();
      if (this.#text[this.#at] === close) break;
      const member = this.#member(open === '{', depth);
      members.push(member);
      this.#skip();
      const hasComma = member.end > member.value.end;
      if (!hasComma && this.#text[this.#at] !== close) this.#fail(`a comma or "${close}" is missing`);
    }
    this.#at++;
    return { kind: open === '{' ? 'object' : 'array', start, end: this.#at, members };
  }

  #member(isNamed: boolean, depth: number): ScannedMember {
    const start = this.#at;
    let key = '';
    if (isNamed) {
      if (this.#text[start] !== '"') this.#fail('a name in double quotes is missing');
      const name = this.#value(depth);
      key = JSON.parse(this.#text.slice(name.start, name.end)) as string;
      this.#skip();
      if (this.#text[this.#at] !== ':') this.#fail('a colon is missing');
      this.#at++;
      this.#skip();
    }
    const value = this.#value(depth + 1);
    this.#skip();
    const hasComma = this.#text[this.#at] === ',';
    if (hasComma) this.#at++;
    else this.#at = value.end;
    return { key, start, value, end: this.#at };
  }

  #skip(): void {
    const blank = /(?:[ \t\r\n]+|\/\/[^\r\n]*|\/\*[\s\S]*?\*\/)*/y;
    blank.lastIndex = this.#at;
    this.#at += blank.exec(this.#text)?.[0].length ?? 0;
  }

  #fail(what: string): never {
    const line = this.#text.slice(0, this.#at).split('\n').length;
    throw new EditError(`cannot be read as JSON: line ${line}, ${what}`);
  }
}

function isJson(source: string): boolean {
  try {
    JSON.parse(source);
    return true;
  } catch {
    return false;
  }
}
