import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { BodyPlan, Operation, ParameterPlan } from './conversion.ts';
import type { Entrance } from './credentials.ts';
import { compileBody, type WriteBody } from './encode-body.ts';
import { encodeCookie, encodeHeaderValue, encodePairs } from './encode-parameter.ts';
import { headerValue, isSettable } from './header-rules.ts';
import { fillPath, type PathParameter, parseTemplate, type Segment } from './path-segments.ts';
import { encode, encodeReserved } from './percent.ts';
import { Refusal } from './refusal.ts';

/** One request of an operation, but for what is added to every one of an upstream and for a caller's token. */
export interface ApiRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Name, value, name, value. */
  readonly headers: string[];
  readonly body: string | Buffer | null;
}

export interface RequestTemplate {
  /** Where the API begins: `/v1`, or empty. */
  readonly basePath: string;
  readonly entrance: Entrance;
  readonly defaults: JsonObject;
  /** Lower-case names that the configuration sets on every request. */
  readonly fixedHeaders: ReadonlySet<string>;
}

export interface CompiledRequest {
  /** Throws Refusal. */
  readonly make: (args: JsonObject) => ApiRequest;
  /** Arguments that are never sent, as something else decides what stands there. */
  readonly dropped: readonly string[];
}

/** An operation that cannot become a request; reads on from "it". */
export interface Uncallable {
  readonly problem: string;
}

interface Value {
  readonly plan: ParameterPlan;
  /** Set where a media type, and no style, says how it is written. */
  readonly write: ((value: Json) => string) | undefined;
  readonly fallback: Json | undefined;
}

/** Everything that can be decided about an operation's requests before the first call. */
export function compileRequest(operation: Operation, template: RequestTemplate): CompiledRequest | Uncallable {
  const { request, method } = operation;
  const { basePath, entrance, defaults, fixedHeaders } = template;
  const values = request.parameters.map((plan): Value => {
    const given = Object.hasOwn(defaults, plan.argument) ? defaults[plan.argument] : undefined;
    return { plan, write: writerOf(plan), fallback: given ?? (plan.default as Json | undefined) };
  });
  const isTaken = ({ plan: { in: place, name } }: Value) =>
    entrance.taken.has(`${place} ${name.toLowerCase()}`) ||
    (place === 'header' && (!isSettable(name) || fixedHeaders.has(name.toLowerCase())));
  const sent = values.filter((value) => !isTaken(value));
  const at = (place: ParameterPlan['in']) => sent.filter(({ plan }) => plan.in === place);
  const paths = at('path');
  const { path, query } = splitTemplate(operation.path);
  const segments = parseTemplate(path, paths.map(pathParameter));
  if (segments === undefined) return { problem: 'its path names a parameter that the description does not describe' };
  if (segments.some((segment) => segment === '.' || segment === '..')) return { problem: 'its path holds "." or ".."' };
  const body = request.body === undefined ? undefined : prepareBody(request.body, defaults);
  if (body !== undefined && 'problem' in body) return body;
  const byArgument = new Map(paths.map((value) => [value.plan.argument, value]));
  const parts: Parts = {
    method,
    basePath,
    segments,
    fixedQuery: query,
    byArgument,
    queries: at('query'),
    wholeQuery: at('querystring')[0],
    headers: at('header'),
    cookies: at('cookie'),
    body,
    entrance,
  };
  return { make: (args) => makeRequest(parts, args), dropped: values.filter(isTaken).map(({ plan }) => plan.argument) };
}

/** Some descriptions tell operations of one path apart by a query or a fragment: `/?Action=List`, `/#list`. */
function splitTemplate(text: string): { readonly path: string; readonly query: string } {
  const [whole = ''] = text.split('#', 1);
  const at = whole.indexOf('?');
  if (at < 0 || /[{}]/.test(whole.slice(at))) return { path: whole, query: '' };
  return { path: whole.slice(0, at), query: encodeURI(whole.slice(at + 1)).replaceAll(/%25([0-9A-Fa-f]{2})/g, '%$1') };
}

interface PreparedBody {
  readonly plan: BodyPlan;
  readonly write: WriteBody;
  readonly fallback: Json | undefined;
}

interface Parts {
  readonly method: string;
  readonly basePath: string;
  readonly segments: readonly Segment[];
  /** Of the template itself. */
  readonly fixedQuery: string;
  readonly byArgument: ReadonlyMap<string, Value>;
  readonly queries: readonly Value[];
  readonly wholeQuery: Value | undefined;
  readonly headers: readonly Value[];
  readonly cookies: readonly Value[];
  readonly body: PreparedBody | undefined;
  readonly entrance: Entrance;
}

function prepareBody(plan: BodyPlan, defaults: JsonObject): PreparedBody | Uncallable {
  const write = compileBody(plan);
  if (write === undefined)
    return { problem: `its body has the media type ${plan.contentType.slice(0, 100)}, which cannot be sent` };
  return { plan, write, fallback: Object.hasOwn(defaults, plan.argument) ? defaults[plan.argument] : undefined };
}

function pathParameter({ plan, write }: Value): PathParameter {
  const { argument, name, style, explode } = plan;
  return { argument, name, style, explode, allowReserved: false, allowEmptyValue: false, write };
}

function writerOf({ contentType }: ParameterPlan): Value['write'] {
  if (contentType === undefined) return undefined;
  const isText = /^text\//i.test(contentType);
  return (value) => (isText && typeof value === 'string' ? value : JSON.stringify(value));
}

function makeRequest(parts: Parts, args: JsonObject): ApiRequest {
  const { entrance, byArgument } = parts;
  const path = fillPath(parts.segments, ({ argument }) => {
    const value = byArgument.get(argument);
    return (value === undefined ? undefined : givenFor(value, args)) ?? missing(argument);
  });
  const query = makeQuery(parts, args);
  const headers = [...entrance.headers];
  for (const value of parts.headers) {
    const given = givenFor(value, args);
    if (given === undefined) continue;
    const { argument, name } = value.plan;
    headers.push(name, headerValue(argument, value.write?.(given) ?? encodeHeaderValue(value.plan, given)));
  }
  const cookies = makeCookies(parts, args);
  if (cookies !== '') headers.push('cookie', cookies);
  const body = makeBody(parts.body, args);
  if (body !== undefined) headers.push('content-type', body.contentType);
  return {
    method: parts.method,
    path: `${parts.basePath}${path}${query === '' ? '' : `?${query}`}`,
    headers,
    body: body?.bytes ?? null,
  };
}

function makeQuery({ queries, wholeQuery, entrance, fixedQuery }: Parts, args: JsonObject): string {
  let query = fixedQuery;
  const add = (pair: string | undefined) => {
    if (pair !== undefined && pair !== '') query += query === '' ? pair : `&${pair}`;
  };
  if (wholeQuery !== undefined) {
    const given = givenFor(wholeQuery, args);
    if (given !== undefined) add(writeWholeQuery(wholeQuery.plan, given));
  }
  for (const value of queries) {
    const given = givenFor(value, args);
    if (given === undefined) continue;
    const { plan, write } = value;
    if (write === undefined) add(encodePairs(plan.name, plan, given));
    else add(`${encode(plan.name)}=${(plan.allowReserved ? encodeReserved : encode)(write(given))}`);
  }
  add(entrance.query);
  return query;
}

function writeWholeQuery({ contentType = '' }: ParameterPlan, value: Json): string {
  if (/^application\/x-www-form-urlencoded/i.test(contentType) && isObject(value)) {
    const style = { style: 'form', explode: true, allowReserved: false, allowEmptyValue: true } as const;
    return Object.entries(value)
      .flatMap(([name, member]) => (member === null ? [] : (encodePairs(name, style, member) ?? [])))
      .join('&');
  }
  return encode(typeof value === 'string' ? value : JSON.stringify(value));
}

function makeCookies({ cookies, entrance }: Parts, args: JsonObject): string {
  const pairs = cookies.map(({ plan, write, fallback }) => {
    const given = givenFor({ plan, write, fallback }, args);
    if (given === undefined) return undefined;
    return write === undefined ? encodeCookie(plan.name, plan, given) : `${encode(plan.name)}=${encode(write(given))}`;
  });
  return [...pairs, entrance.cookies].filter((pair) => pair !== undefined && pair !== '').join('; ');
}

function makeBody(body: PreparedBody | undefined, args: JsonObject): ReturnType<WriteBody> | undefined {
  if (body === undefined) return undefined;
  const { argument, isRequired, encoding } = body.plan;
  const given = Object.hasOwn(args, argument) ? args[argument] : body.fallback;
  // As JSON, null is a value like any other.
  if (given === undefined || (given === null && (encoding !== 'json' || !isRequired)))
    return isRequired ? missing(argument) : undefined;
  return body.write(given);
}

/** What a call gives, or the configuration in its place. A null that may be left out is nothing. */
function givenFor({ plan, fallback }: Value, args: JsonObject): Json | undefined {
  const given = Object.hasOwn(args, plan.argument) ? args[plan.argument] : undefined;
  if (given !== undefined && given !== null) return given;
  if (fallback !== undefined) return fallback;
  return plan.isRequired ? missing(plan.argument) : undefined;
}

function missing(argument: string): never {
  throw new Refusal(`The argument "${argument}" is missing; call again with it.`);
}
