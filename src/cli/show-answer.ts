import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { isTime } from './units.ts';

// A far end may answer anything: what would move a terminal's cursor, show letters in another order, or be there without being seen, is
// written out. The letters by number are fillers of Hangul, which are blank.
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu;

/** Text that does to a terminal what it looks like and nothing else. What it makes of JSON is the same JSON. */
export function plain(text: string): string {
  return text.replace(unseen, writeOut);
}

function writeOut(sign: string): string {
  return Array.from({ length: sign.length }, (_, at) => `\\u${sign.charCodeAt(at).toString(16).padStart(4, '0')}`).join('');
}

/** The same for text of several lines. */
export function plainLines(text: string): string {
  return text.split('\n').map(plain).join('\n');
}

/** JSON for programs; what a terminal would act on is escaped, which means the same. */
export function showJson(value: Json): string {
  const text = JSON.stringify(value, undefined, 2);
  return `${plainLines(text)}\n`;
}

/** A refusal as the gateway words its own, for a command line that never reached it. */
export function showWrongLine(message: string): string {
  return showJson({ error: { code: 'bad_command_line', message } });
}

/**
 * An answer for people: a table where it is a list, lines of `key: value` otherwise. Nothing is left out, but of lists whose `tables`
 * name the keys to show, by the list's own; what is too long there is cut.
 */
export function showAnswer(
  answer: JsonObject,
  columns: number,
  tables: Readonly<Record<string, readonly string[]>> = {},
): string {
  const entries = Object.entries(answer);
  // A list comes first in the answer that is about it, and after other things where it is one of them.
  const [list, ...others] = entries.filter(([, value]) => value !== null);
  const isTable = list !== undefined && isList(list[1]) && others.every(([, value]) => isPlain(value));
  if (!isTable) return entries.length === 0 ? 'Done.\n' : `${showObject(answer, '').join('\n')}\n`;
  const [name, rows] = list;
  const chosen = Object.hasOwn(tables, name) ? tables[name] : undefined;
  const table = chosen === undefined ? showRows : showTable(chosen);
  const lines = [...table(name, rows as unknown as readonly JsonObject[], columns), ...(others.length > 0 ? [''] : [])];
  for (const [key, value] of others) lines.push(`${plain(key)}: ${cell(key, value)}`);
  return `${lines.join('\n')}\n`;
}

function isList(value: Json): boolean {
  return Array.isArray(value) && value.every(isObject);
}

function isPlain(value: Json): boolean {
  return typeof value !== 'object' || value === null;
}

const leastWidth = 8;
/** More columns than anybody reads, or more blanks than text: one block of lines per row then. */
const mostColumns = 40;
const mostTableCharacters = 32 * 1024 * 1024;

/** Chosen columns that fit beside each other: the widest give way. */
function showTable(keys: readonly string[]): typeof showRows {
  return (name, rows, columns) => {
    const table = rows.map((row) => keys.map((key) => cell(key, Object.hasOwn(row, key) ? row[key] : undefined)));
    const widths = widthsOf([keys.map(heading), ...table]).map((width) => Math.min(width, columns));
    const fixed = 2 * (keys.length - 1);
    for (let over = widths.reduce((sum, each) => sum + each, fixed) - columns; over > 0; over -= 1) {
      const widest = widths.indexOf(Math.max(...widths));
      if ((widths[widest] ?? 0) <= leastWidth) break;
      widths[widest] = (widths[widest] ?? 0) - 1;
    }
    const cut = rows.map((_row, at) =>
      Object.fromEntries(keys.map((key, n) => [heading(key), shorten(table[at]?.[n] ?? '', widths[n] ?? 0)])),
    );
    return showRows(name, cut, columns + 2);
  };
}

function shorten(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

function showRows(name: string, rows: readonly JsonObject[], columns: number): string[] {
  if (rows.length === 0) return [`No ${plain(name)}.`];
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (keys.length > mostColumns) return showBlocks(rows);
  const table = [
    keys.map(heading),
    ...rows.map((row) => keys.map((key) => cell(key, Object.hasOwn(row, key) ? row[key] : undefined))),
  ];
  const widths = widthsOf(table);
  const width = widths.reduce((sum, each) => sum + each + 2, 0);
  // Lines that a terminal breaks are no table.
  if (width > columns || width * table.length > mostTableCharacters) return showBlocks(rows);
  return table.map((cells) =>
    cells
      .map((text, n) => text.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Of each column, whatever stands in it. */
function widthsOf(table: readonly (readonly string[])[]): readonly number[] {
  const widths: number[] = [];
  for (const cells of table) for (const [n, cell] of cells.entries()) widths[n] = Math.max(widths[n] ?? 0, cell.length);
  return widths;
}

function showBlocks(rows: readonly JsonObject[]): string[] {
  return rows.flatMap((row, n) => [...(n > 0 ? [''] : []), ...showObject(row, '')]);
}

function showObject(value: JsonObject, indent: string): string[] {
  return Object.entries(value).flatMap(([key, entry]) => showEntry(`${indent}${heading(key)}:`, key, entry, `${indent}  `));
}

function showEntry(start: string, key: string, value: Json, indent: string): string[] {
  if (typeof value === 'string' && value.includes('\n')) return [start, ...value.split('\n').map((line) => indent + plain(line))];
  if (Array.isArray(value) && value.length > 0) return [start, ...value.flatMap((item) => showItem(item, indent))];
  if (isObject(value) && Object.keys(value).length > 0) return [start, ...showObject(value, indent)];
  return [`${start} ${cell(key, value)}`];
}

function showItem(item: Json, indent: string): string[] {
  if (!isObject(item) || Object.keys(item).length === 0) return [`${indent}- ${cell('', item)}`];
  const [first = '', ...others] = showObject(item, `${indent}  `);
  return [`${indent}- ${first.trimStart()}`, ...others];
}

// A time is shown as one, so its name has no unit any more.
function heading(key: string): string {
  return plain(isTime(key) ? key.slice(0, -'Ms'.length) : key);
}

function cell(key: string, value: Json | undefined): string {
  if (value === undefined || value === null || value === '') return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number' && isTime(key) && Math.abs(value) <= 8.64e15) return new Date(value).toISOString();
  if (typeof value === 'number') return String(rounded(value));
  return plain(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Averages and the like have digits that nobody reads; `--json` has them all. */
function rounded(value: number): number {
  if (Number.isInteger(value)) return value;
  return Math.abs(value) < 1 ? Number(value.toPrecision(6)) : Number(value.toFixed(3));
}
