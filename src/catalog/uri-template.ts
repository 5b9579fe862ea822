/** An upstream writes its templates, a client its URIs: both are cut off here, so that one match costs thousands of steps at most. */
const templateLimit = 1024;
const uriLimit = 2048;
const expressionLimit = 8;

type Part =
  | { readonly kind: 'text'; readonly text: string }
  /** A run, of any length, of characters outside `stops`. */
  | { readonly kind: 'run'; readonly stops: string };

/**
 * Makes a test for whether a URI could be an expansion of this template (RFC 6570; operators and modifiers of all levels, the
 * values themselves are not looked at). Undefined for a template that is too long or malformed to be matched.
 */
export function compileTemplate(template: string): ((uri: string) => boolean) | undefined {
  const parts = template.length > templateLimit ? undefined : readParts(template);
  return parts === undefined ? undefined : (uri) => uri.length <= uriLimit && isExpansion(parts, uri);
}

function readParts(template: string): Part[] | undefined {
  const parts: Part[] = [];
  let expressions = 0;
  let from = 0;
  while (from < template.length) {
    const open = template.indexOf('{', from);
    const text = template.slice(from, open < 0 ? undefined : open);
    if (text.includes('}')) return undefined;
    if (text !== '') parts.push({ kind: 'text', text });
    if (open < 0) break;
    const close = template.indexOf('}', open);
    const expression = template.slice(open + 1, close);
    expressions++;
    if (close < 0 || expression === '' || expression.includes('{') || expressions > expressionLimit) return undefined;
    parts.push({ kind: 'run', stops: stopsOf(expression) });
    from = close + 1;
  }
  return parts;
}

function stopsOf(expression: string): string {
  const operator = expression[0] ?? '';
  if (operator === '+' || operator === '#') return '';
  if (operator === '?' || operator === '&') return '#';
  // `*` and `/` put slashes between values.
  if (operator === '/' || expression.includes('*')) return '?#';
  return '/?#';
}

// Keeps every offset that the parts so far can end at, so that nothing is tried twice: no backtracking, however the template
// was built to provoke it.
function isExpansion(parts: readonly Part[], uri: string): boolean {
  const first = parts[0];
  if (first?.kind === 'text' && !uri.startsWith(first.text)) return false;
  let ends = new Set([0]);
  for (const part of parts) {
    const next = new Set<number>();
    if (part.kind === 'text') {
      for (const end of ends) if (uri.startsWith(part.text, end)) next.add(end + part.text.length);
    } else {
      let isOpen = false;
      for (let at = 0; at <= uri.length; at++) {
        if (ends.has(at)) isOpen = true;
        if (!isOpen) continue;
        next.add(at);
        if (at < uri.length && part.stops.includes(uri.charAt(at))) isOpen = false;
      }
    }
    if (next.size === 0) return false;
    ends = next;
  }
  return ends.has(uri.length);
}
