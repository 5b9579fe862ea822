import { STATUS_CODES } from 'node:http';
import { shorten } from '../../arguments/measure-arguments.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { findExcess } from './weigh-json.ts';

const longestDetail = 4_000;
/** Of HTML, to find what it says. */
const longestPage = 20_000;

/** An answer that says no, for whoever has to do something about it: status, what the API says, and the next step. */
export function describeRefusal(status: number, contentType: string, text: string, location: string | undefined): string {
  const name = STATUS_CODES[status];
  const head = `The API answered HTTP ${status}${name === undefined ? '' : ` ${name}`}.`;
  if (status < 400) {
    const to = location === undefined ? 'another address' : shorten(location, 1_000);
    return `${head} It sends on to ${to}, and Gatehouse follows no redirect: what is there was not fetched.`;
  }
  const said = describeBody(contentType, text);
  return [head, said, nextStep(status)].filter((part) => part !== '').join('\n');
}

/** Problem details (RFC 9457) in their order, any other JSON as it is, text as it is; both cut. */
function describeBody(contentType: string, text: string): string {
  if (text.trim() === '') return '';
  const value = /[/+]json\b/i.test(contentType) || /^\s*[{[]/.test(text) ? parse(text) : undefined;
  if (value === undefined)
    return /html/i.test(contentType) ? `It says: ${cut(withoutTags(text))}` : `It says: ${cut(text.trim())}`;
  if (!isObject(value) || !isProblem(contentType, value)) return `It says: ${cut(JSON.stringify(value))}`;
  const { type, title, status: _status, detail, instance, ...rest } = value;
  const lines = [title, detail].flatMap((part) => (typeof part === 'string' && part !== '' ? [cut(part)] : []));
  if (typeof type === 'string' && type !== 'about:blank') lines.push(`type: ${cut(type)}`);
  if (typeof instance === 'string') lines.push(`instance: ${cut(instance)}`);
  if (Object.keys(rest).length > 0) lines.push(cut(JSON.stringify(rest)));
  return `It says: ${lines.join('\n')}`;
}

function isProblem(contentType: string, value: JsonObject): boolean {
  return /application\/problem\+json/i.test(contentType) || (typeof value.title === 'string' && typeof value.detail === 'string');
}

function nextStep(status: number): string {
  if (status === 401 || status === 403)
    return 'It does not accept the credentials that Gatehouse has for it, or they do not allow this. Other arguments may not help: ask whoever runs this gateway.';
  if (status === 400 || status === 422) return 'Correct the arguments as it says, then call again.';
  if (status === 404 || status === 410) return 'Nothing is there by these arguments; check the ids in them.';
  if (status === 409 || status === 412) return 'What is there changed or stands in the way; look at it, then call again.';
  if (status === 408 || status === 425) return 'The same call may succeed later.';
  if (status >= 500)
    return 'The API itself failed. Whether it acted is not known: check before you repeat a call that changes something.';
  return 'Calling again with the same arguments will most likely have the same answer.';
}

function parse(text: string): Json | undefined {
  if (findExcess(Buffer.from(text)) !== undefined) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** What a page says. Looks at each character once, however its tags are closed, or not. */
function withoutTags(html: string): string {
  const page = html.slice(0, longestPage);
  const texts: string[] = [];
  for (let at = 0; at < page.length; ) {
    const open = page.indexOf('<', at);
    const close = open < 0 ? -1 : page.indexOf('>', open);
    texts.push(page.slice(at, close < 0 ? page.length : open));
    if (close < 0) break;
    const isCode = /^<(script|style)/i.test(page.slice(open, open + 7));
    const next = isCode ? page.indexOf('<', close) : close + 1;
    at = next < 0 ? page.length : next;
  }
  return texts.join(' ').replaceAll(/\s+/g, ' ').trim();
}

function cut(text: string): string {
  return text.length > longestDetail ? `${text.slice(0, longestDetail)}... (${text.length} characters)` : text;
}
