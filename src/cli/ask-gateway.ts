import type { Action } from '../admin/action.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { patiently, sendToRunning } from './control.ts';
import { answerLimitBytes, exchange, type Reply, type Sent } from './exchange.ts';

/** The gateway that a command works on. */
export type Far = Running | Address;

interface Running {
  readonly kind: 'running';
  readonly dataDir: string;
}

interface Address {
  readonly kind: 'address';
  readonly url: URL;
  readonly key: string;
}

type GatewayAnswer =
  | { readonly kind: 'done'; readonly answer: JsonObject }
  | { readonly kind: 'refused'; readonly message: string; readonly answer: JsonObject };

/** An address or a key that cannot be one. */
export class AddressError extends Error {}

/** Where the gateway's API is, by any address of it that people know: its own, or one of `/mcp`. Throws AddressError. */
export function readAddress(text: string, key: string | undefined): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol))
    throw new AddressError(`"${text.slice(0, 200)}" is no address of a gateway; one looks like https://gatehouse.example.com.`);
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new AddressError('An address holds no key. Give the key by GATEHOUSE_KEY, and the address without it.');
  if (key === undefined || key === '')
    throw new AddressError('A gateway at an address needs a key: set GATEHOUSE_KEY and repeat the command.');
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new AddressError('GATEHOUSE_KEY holds characters that cannot travel in a header. Copy it again, without spaces.');
  url.pathname = url.pathname.replace(/\/(mcp(\/[^/]*)?|api)?\/?$/, '');
  return { kind: 'address', url, key };
}

/** Whether the key would travel for everybody on the way to read. */
export function isExposed({ url }: Address): boolean {
  return url.protocol === 'http:' && !/^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
}

/** The request of an action's route: what stands in its path, then the query of a GET or the body. */
export function requestOf({ route }: Pick<Action, 'route'>, input: JsonObject): Sent {
  const [method = '', template = ''] = route.split(' ');
  const rest = new Map(Object.entries(input));
  const path = template.replaceAll(/\{(\w+)\}/g, (_, key: string) => {
    const value = textOf(input[key] ?? '');
    rest.delete(key);
    return encodeURIComponent(value);
  });
  if (method !== 'GET') return { method, path, body: JSON.stringify(Object.fromEntries(rest)) };
  const query = new URLSearchParams([...rest].map(([key, value]): [string, string] => [key, textOf(value)])).toString();
  return { method, path: query === '' ? path : `${path}?${query}` };
}

function textOf(value: JsonObject[string]): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Sends one request of the API. Throws an Error with a sentence where no gateway answers as one. */
export async function askGateway(far: Far, sent: Sent): Promise<GatewayAnswer> {
  const reply = far.kind === 'running' ? await askHere(far, sent) : await askAddress(far, sent);
  const where = far.kind === 'running' ? 'The gateway' : far.url.origin;
  const answer = readAnswer(reply, where);
  if (reply.status === 200) return { kind: 'done', answer };
  const { error } = answer;
  if (!isObject(error) || typeof error.message !== 'string') throw new Error(notOne(where, reply.status));
  return { kind: 'refused', message: error.message, answer };
}

async function askHere({ dataDir }: Running, sent: Sent): Promise<Reply> {
  const reply = await sendToRunning(dataDir, { ...sent, path: `/api${sent.path}` });
  if (reply !== undefined) return reply;
  throw new Error(
    `No gateway is running on ${dataDir}. Start one with "gatehouse serve", name its data directory with --data or GATEHOUSE_DATA, ` +
      'or say which one to ask: --url <address>, with its key in GATEHOUSE_KEY.',
  );
}

async function askAddress({ url, key }: Address, sent: Sent): Promise<Reply> {
  const headers = { authorization: `Bearer ${key}` };
  const asked = { ...sent, path: `${url.pathname.replace(/\/$/, '')}/api${sent.path}`, headers };
  try {
    return await exchange({ url }, asked, { ...patiently, bytes: answerLimitBytes });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = message === '' ? code : message;
    // What changes something may have been done by then; what reads has only to be asked again.
    const doubt =
      sent.method === 'GET' || code === 'ECONNREFUSED' || code === 'ENOTFOUND'
        ? ''
        : ' Look whether it was done before you repeat it.';
    throw new Error(`${url.origin} does not answer: ${reason}. Start the gateway there, or correct --url.${doubt}`, {
      cause: error,
    });
  }
}

const deepest = 200;

function readAnswer({ status, text }: Reply, where: string): JsonObject {
  if (isDeeper(text, deepest)) throw new Error(`${where} answered with JSON that is nested more than ${deepest} levels deep.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!isObject(value)) throw new Error(notOne(where, status));
  return value;
}

function notOne(where: string, status: number): string {
  const moved = status >= 300 && status < 400 ? ' It sends elsewhere; give the address that it sends to.' : '';
  return `${where} does not answer as a gateway does (HTTP ${status}).${moved} The address is that of the gateway itself, such as https://gatehouse.example.com.`;
}

/** Whether brackets outside of strings are nested deeper than this. Says nothing about text that is no JSON. */
function isDeeper(text: string, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === '"') at = endOfString(text, at + 1);
    else if (sign === '[' || sign === '{') depth += 1;
    else if (sign === ']' || sign === '}') depth -= 1;
    if (depth > limit) return true;
  }
  return false;
}

function endOfString(text: string, start: number): number {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at;
  }
  return text.length;
}
