import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { EditError } from './edit-json.ts';

/**
 * The strings in `env` of the table `[parent.name]`, written inline or as a table of its own. Throws EditError with the line
 * that is not TOML.
 */
export function readTomlEnvironment(text: string, parent: string, name: string): Record<string, string> {
  const statements = new TomlScanner(text).scan();
  const env: Record<string, string> = {};
  for (const { path, value } of assignments(statements, [parent, name])) {
    if (path[0] === 'env') Object.assign(env, strings(path.slice(1), value));
  }
  for (const { path, value } of assignments(statements, [parent, name, 'env'])) Object.assign(env, strings(path, value));
  return env;
}

/**
 * Sets keys of the table `[parent.name]`, appending the table where it is missing, and takes out `obsolete` ones. Every other
 * character stays. Throws EditError where the text says the same thing in another form.
 */
export function setTomlTable(text: string, parent: string, name: string, table: JsonObject, obsolete: readonly string[]): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const statements = new TomlScanner(text).scan();
  const values: Record<string, string> = Object.fromEntries(Object.entries(table).map(([key, value]) => [key, toToml(value)]));
  const lines = Object.entries(values).map(([key, source]) => `${key} = ${source}${eol}`);
  const header = statements.find((one): one is Header => one.kind === 'table' && isPath(one.path, [parent, name]));
  if (header === undefined) {
    refuseOtherForms(statements, parent, name);
    const gap = text === '' ? '' : text.endsWith('\n') ? eol : eol + eol;
    return `${text}${gap}[${parent}.${quoteKey(name)}]${eol}${lines.join('')}`;
  }
  const subtable = statements.find(
    ({ path }) => path.length === 3 && isPath(path.slice(0, 2), [parent, name]) && isReplaced(path[2] ?? ''),
  );
  if (subtable !== undefined)
    throw new EditError(`has "${subtable.path.join('.')}" as a table of its own (line ${subtable.line})`);
  const old = assignments(statements, [parent, name]).filter(({ path }) => path[0] !== undefined && isReplaced(path[0]));
  if (isUnchanged()) return text;
  let edited = text;
  for (const { start, value } of old.toReversed()) edited = edited.slice(0, start) + edited.slice(lineEnd(edited, value.end));
  const behind = lineEnd(text, header.end);
  const gap = text[behind - 1] === '\n' ? '' : eol;
  return edited.slice(0, behind) + gap + lines.join('') + edited.slice(behind);

  function isReplaced(key: string): boolean {
    return Object.hasOwn(values, key) || obsolete.includes(key);
  }
  function isUnchanged(): boolean {
    return (
      old.length === lines.length &&
      old.every(({ path, value }) => path.length === 1 && values[path[0] ?? ''] === text.slice(value.start, value.end))
    );
  }
}

/** A table of strings, lists and tables, as a file of its own would hold it. */
export function renderTomlTable(parent: string, name: string, table: JsonObject): string {
  return setTomlTable('', parent, name, table, []);
}

function toToml(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(toToml).join(', ')}]`;
  if (!isObject(value)) return typeof value === 'string' ? tomlString(value) : String(value);
  const members = Object.entries(value).map(([key, inner]) => `${quoteKey(key)} = ${toToml(inner)}`);
  return `{ ${members.join(', ')} }`;
}

// JSON's escapes are all TOML's; TOML also wants DEL escaped.
function tomlString(value: string): string {
  return JSON.stringify(value).replaceAll('\x7f', '\\u007F');
}

// A server can also be written inline, dotted or as an array; adding a table to those would make the file invalid.
function refuseOtherForms(statements: readonly Statement[], parent: string, name: string): void {
  let table: readonly string[] = [];
  for (const statement of statements) {
    if (statement.kind !== 'assignment') table = statement.path;
    const path = statement.kind === 'assignment' ? [...table, ...statement.path] : statement.path;
    const isWhole = statement.kind !== 'table' && isPath(path, [parent]);
    const isOwn = statement.kind !== 'table' && path[0] === parent && path[1] === name && !isSubtable(table);
    if (isWhole || isOwn)
      throw new EditError(`already has "${parent}" in a form that is not edited here (line ${statement.line})`);
  }
  function isSubtable(current: readonly string[]): boolean {
    return current.length > 2 && current[0] === parent && current[1] === name;
  }
}

function assignments(statements: readonly Statement[], table: readonly string[]): Assignment[] {
  const at = statements.findIndex((one) => one.kind === 'table' && isPath(one.path, table));
  const found: Assignment[] = [];
  if (at < 0) return found;
  for (const statement of statements.slice(at + 1)) {
    if (statement.kind !== 'assignment') break;
    found.push(statement);
  }
  return found;
}

function strings(path: readonly string[], value: Value): Record<string, string> {
  const [key] = path;
  if (key === undefined) return Object.assign({}, ...value.members.map((inner) => strings(inner.path, inner.value)));
  return path.length === 1 && value.text !== undefined ? { [key]: value.text } : {};
}

function isPath(path: readonly string[], wanted: readonly string[]): boolean {
  return path.length === wanted.length && path.every((part, index) => part === wanted[index]);
}

function quoteKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : tomlString(key);
}

/** Behind the line's end, a remark on the same line included. */
function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : end + 1;
}

type Statement = Header | Assignment;

interface Header {
  readonly kind: 'table' | 'table array';
  readonly path: readonly string[];
  readonly line: number;
  readonly end: number;
}

interface Assignment {
  readonly kind: 'assignment';
  readonly path: readonly string[];
  readonly line: number;
  /** Of its line. */
  readonly start: number;
  readonly value: Value;
}

interface Value {
  readonly start: number;
  readonly end: number;
  /** Of a string. */
  readonly text: string | undefined;
  /** Of an inline table. */
  readonly members: readonly { readonly path: readonly string[]; readonly value: Value }[];
}

const basicString = /"(?:[^"\\\n]|\\.)*"/y;
const literalString = /'[^'\n]*'/y;
const longString = /"""(?:[^\\]|\\[\s\S])*?"{3,5}(?!")|'''[\s\S]*?'{3,5}(?!')/y;
const bareKey = /[A-Za-z0-9_-]+/y;
const bareValue = /[A-Za-z0-9_+.:-]+(?: [0-9:.Z+-]+)?/y;
const blank = /[ \t]*/y;
const blankLines = /(?:[ \t\r\n]+|#[^\n]*)*/y;
const restOfLine = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y;

/** Finds where each statement of a TOML 1.0 text begins and ends; what a value means is only read of strings. */
class TomlScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Statement[] {
    const statements: Statement[] = [];
    if (this.#text.startsWith('\uFEFF')) this.#at = 1;
    for (;;) {
      this.#take(blankLines);
      if (this.#at >= this.#text.length) return statements;
      statements.push(this.#text[this.#at] === '[' ? this.#header() : this.#assignment());
      if (this.#take(restOfLine) === undefined) this.#fail('something follows the end of the value');
    }
  }

  #header(): Header {
    const line = this.#line();
    const isArray = this.#text.startsWith('[[', this.#at);
    this.#at += isArray ? 2 : 1;
    const path = this.#path();
    if (!this.#text.startsWith(isArray ? ']]' : ']', this.#at)) this.#fail('a table name is not closed');
    this.#at += isArray ? 2 : 1;
    return { kind: isArray ? 'table array' : 'table', path, line, end: this.#at };
  }

  #assignment(): Assignment {
    const line = this.#line();
    const start = this.#text.lastIndexOf('\n', this.#at - 1) + 1;
    const path = this.#path();
    if (this.#text[this.#at] !== '=') this.#fail('an equals sign is missing');
    this.#at++;
    this.#take(blank);
    return { kind: 'assignment', path, line, start, value: this.#value() };
  }

  #path(): string[] {
    const path: string[] = [];
    do {
      if (path.length > 0) this.#at++;
      this.#take(blank);
      const quoted = this.#take(basicString) ?? this.#take(literalString);
      const key = quoted === undefined ? this.#take(bareKey) : unquote(quoted);
      if (key === undefined) this.#fail('a name is missing');
      path.push(key);
      this.#take(blank);
    } while (this.#text[this.#at] === '.');
    return path;
  }

  #value(): Value {
    const start = this.#at;
    const first = this.#text[start];
    if (first === '[') return { start, members: this.#items(']'), end: this.#at, text: undefined };
    if (first === '{') return { start, members: this.#items('}'), end: this.#at, text: undefined };
    if (this.#take(longString) !== undefined) return { start, end: this.#at, text: undefined, members: [] };
    const quoted = this.#take(basicString) ?? this.#take(literalString);
    if (quoted === undefined && this.#take(bareValue) === undefined) this.#fail('a value is missing');
    return { start, end: this.#at, text: quoted === undefined ? undefined : unquote(quoted), members: [] };
  }

  #items(close: ']' | '}'): Value['members'] {
    const members: { path: string[]; value: Value }[] = [];
    this.#at++;
    for (;;) {
      this.#take(blankLines);
      if (this.#text[this.#at] === close) break;
      if (members.length > 0) {
        if (this.#text[this.#at] !== ',') this.#fail(`a comma or "${close}" is missing`);
        this.#at++;
        this.#take(blankLines);
        if (this.#text[this.#at] === close) break;
      }
      members.push(close === ']' ? { path: ['item'], value: this.#value() } : this.#member());
    }
    this.#at++;
    return close === ']' ? [] : members;
  }

  #member(): { path: string[]; value: Value } {
    const path = this.#path();
    if (this.#text[this.#at] !== '=') this.#fail('an equals sign is missing');
    this.#at++;
    this.#take(blankLines);
    return { path, value: this.#value() };
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #line(): number {
    return this.#text.slice(0, this.#at).split('\n').length;
  }

  #fail(what: string): never {
    throw new EditError(`cannot be read as TOML: line ${this.#line()}, ${what}`);
  }
}

function unquote(quoted: string): string {
  if (quoted.startsWith("'")) return quoted.slice(1, -1);
  // TOML's \UXXXXXXXX and \e have no JSON form; both are rare enough to be shown as they stand.
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return quoted.slice(1, -1);
  }
}
