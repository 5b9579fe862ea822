import { stripHiddenText } from '../content/hidden-text.ts';

// What upstreams say of themselves is written into a page that people and models read: it is shown as the text it is, and makes no
// headings, links, pictures, tags or rows of its own.

const longestText = 20_000;
const longestCell = 500;

/** Paragraphs of somebody else's text. */
export function paragraphs(text: string): string {
  const lines = visible(text, longestText).split(/\r\n|[\n\r\u2028\u2029]/);
  return lines
    .map((line) => escaped(line.trim()))
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n');
}

/** Somebody else's text on one line, as in a heading or a cell of a table. */
export function oneLine(text: string, longest = longestCell): string {
  return escaped(visible(text, longest).replaceAll(/\s+/g, ' ').trim());
}

/** Somebody else's name or value, as code on one line. Empty text is shown as nothing. */
export function code(text: string, longest = longestCell): string {
  const plain = visible(text, longest).replaceAll(/\s+/g, ' ');
  if (plain === '') return '';
  const longestRun = Math.max(0, ...Array.from(plain.matchAll(/`+/g), ([run]) => run.length));
  const fence = '`'.repeat(longestRun + 1);
  const space = longestRun > 0 ? ' ' : '';
  // In a cell, a bar ends the cell even within code (GitHub Flavored Markdown section 4.10).
  return `${fence}${space}${plain.replaceAll('|', '\\|')}${space}${fence}`;
}

/** A block of code in a language. */
export function block(language: string, text: string): string {
  const longestRun = Math.max(2, ...Array.from(text.matchAll(/`+/g), ([run]) => run.length));
  const fence = '`'.repeat(longestRun + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

/** A table; the cells are Markdown already, and hold no line breaks. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

function visible(text: string, longest: number): string {
  const cut = text.length <= longest ? text : `${text.slice(0, longest).replace(/[\uD800-\uDBFF]$/, '')}...`;
  return stripHiddenText(cut).replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, (char) => (/[\n\r\t]/.test(char) ? char : ''));
}

function escaped(line: string): string {
  return (
    line
      .replaceAll(/[\\`*_{}[\]<>()#|~!$&]/g, '\\$&')
      .replace(/^([-+=])/, '\\$1')
      .replace(/^(\d{1,9})([.:])/, '$1\\$2')
      // Bare addresses become links in many readers.
      .replaceAll(/\b(https?|ftp|mailto|javascript|data):/gi, '$1\\:')
      .replaceAll(/\bwww\./gi, 'www\\.')
      .replaceAll('@', '\\@')
  );
}
