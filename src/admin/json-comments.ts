/**
 * JSON with comments and trailing commas, as VS Code writes it, as plain JSON: what is too much becomes blanks, so that every line and
 * column stays what it was. The `//` of an address without quotes, as YAML may have it, begins no comment.
 */
export function blankComments(text: string): string {
  let blanked = '';
  let kept = 0;
  const blank = (from: number, to: number) => {
    blanked += text.slice(kept, from) + text.slice(from, to).replaceAll(/[^\r\n]/g, ' ');
    kept = to;
  };
  for (let at = 0; at < text.length; ) {
    const next = text[at + 1];
    if (text[at] === '"') at = endOfString(text, at);
    else if (text[at] === '/' && (next === '*' || (next === '/' && text[at - 1] !== ':'))) {
      const end = next === '/' ? endOfLine(text, at) : endOfBlock(text, at);
      blank(at, end);
      at = end;
    } else at += 1;
  }
  return withoutLastCommas(blanked + text.slice(kept));
}

/** Whether it begins as JSON does, or with a comment before that. */
export function looksLikeJson(text: string): boolean {
  return /^\uFEFF?\s*(\{\s*["}/]|\/\/|\/\*)/.test(text);
}

function withoutLastCommas(text: string): string {
  let result = '';
  let kept = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '"') at = endOfString(text, at) - 1;
    else if (text[at] === ',' && isLast(text, at)) {
      result += `${text.slice(kept, at)} `;
      kept = at + 1;
    }
  }
  return result + text.slice(kept);
}

function isLast(text: string, comma: number): boolean {
  let at = comma + 1;
  while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) at += 1;
  return text[at] === '}' || text[at] === ']';
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf('\n', start);
  return end < 0 ? text.length : end;
}

function endOfBlock(text: string, start: number): number {
  const end = text.indexOf('*/', start + 2);
  return end < 0 ? text.length : end + 2;
}
