import type { ArgumentChecks } from '../../arguments/argument-check.ts';
import type { ApiTransport } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import { takeTurns } from '../../turns.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { secretForms, secretsByName } from '../blank-out.ts';
import { resolveAll, secretsOf } from '../fill-secrets.ts';
import { hopHeader } from '../hop.ts';
import { emptyOffer, type Offer, type OfferProblem, type ToolDefinition } from '../upstream.ts';
import type { AnswerReader } from './answer.ts';
import { type CompiledRequest, compileRequest } from './compile-request.ts';
import type { Conversion, Operation } from './conversion.ts';
import { chooseEntrance, type Entrance, openWallet, type Wallet } from './credentials.ts';
import { isSettable } from './header-rules.ts';
import { namesOf, renamed, selectOperations } from './select-operations.ts';
import { compileTrim } from './trim-answer.ts';

/** One operation, ready to be called: nothing is looked up or compiled from here on. */
export interface PreparedCall {
  readonly operation: Operation;
  readonly request: CompiledRequest;
  readonly reader: AnswerReader;
  /** What every request of it has, name, value, name, value. */
  readonly headers: readonly string[];
  readonly needsBearer: boolean;
}

/** An API as its import makes it. */
export interface PreparedApi {
  readonly base: URL;
  /** The address comes from the description and not from whoever runs this gateway. */
  readonly isForeign: boolean;
  readonly offer: Offer;
  readonly calls: ReadonlyMap<string, PreparedCall>;
  /** Byte strings that no answer may carry back. */
  readonly secrets: readonly Buffer[];
}

export interface PrepareDeps {
  readonly resolveSecrets: (text: string) => string;
  readonly checks: ArgumentChecks;
  readonly instance: { readonly name: string; readonly version: string; readonly hop?: string };
  readonly log: { warn(details: Readonly<Record<string, unknown>>, message: string): void };
}

/** Throws GatewayError `bad_configuration`: no address, a secret that is missing. Others have their turn between two operations. */
export async function prepareApi(
  subject: string,
  conversion: Conversion,
  transport: ApiTransport,
  deps: PrepareDeps,
): Promise<PreparedApi> {
  const turn = takeTurns();
  const { base, isForeign } = baseOf(subject, conversion, transport);
  const { chosen, idle } = await selectOperations(conversion.operations, transport, turn);
  const names = new Set(conversion.operations.flatMap(namesOf));
  const fixed = fixedHeaders(subject, transport, deps);
  const wallet = fillWallet(conversion, transport, deps);
  const context: Context = { base, firstServer: absolute(conversion.servers[0]), transport, wallet, fixed, checks: deps.checks };
  const calls = new Map<string, PreparedCall>();
  const tools: ToolDefinition[] = [];
  const gated = new Set<string>();
  const problems: OfferProblem[] = [
    ...describeProblems(conversion, new Set(chosen.map(({ id }) => id))),
    ...wallet.problems,
    // What is taken by default is nobody's pattern.
    ...idle
      .filter((pattern) => pattern !== '*')
      .map((pattern) => ({ subject: pattern, message: `"${pattern}" fits no operation of the description.` })),
    ...Object.keys(transport.rename)
      .filter((key) => !names.has(key))
      .map((key) => ({ subject: key, message: `"rename" names "${key}", which is no operation of the description.` })),
  ];
  const lacking = new Map<string, number>();
  for (const operation of chosen) {
    await turn();
    const prepared = prepareOperation(operation, context, lacking);
    if ('problem' in prepared) problems.push({ subject: operation.id, message: `It is left out: ${prepared.problem}.` });
    else if (calls.has(prepared.tool.name))
      problems.push({
        subject: operation.id,
        message: `It is left out: another operation is named "${prepared.tool.name}" already.`,
      });
    else {
      tools.push(prepared.tool);
      calls.set(prepared.tool.name, prepared.call);
      if (operation.method === 'DELETE') gated.add(prepared.tool.name);
    }
  }
  for (const [schemes, count] of lacking) problems.push({ subject: schemes, message: lacks(schemes, count) });
  const offer: Offer = Object.freeze({
    ...emptyOffer,
    tools: Object.freeze(tools),
    isStale: false,
    gatedByDefault: gated,
    filledIn: transport.defaults as JsonObject,
    problems,
  });
  return { base, isForeign, offer, calls, secrets: [...wallet.secrets, ...fixed.secrets] };
}

/** Of a description with thousands of flaws the first show what is wrong with it. */
const mostProblems = 500;

/** Of what an import leaves out nothing is said. */
function describeProblems({ problems, operations, title }: Conversion, chosen: ReadonlySet<string>): readonly OfferProblem[] {
  const unchosen = operations.filter(({ id }) => !chosen.has(id));
  const places = new Set(unchosen.flatMap(({ id, path, method }) => [id, placeOf(path, method)]));
  const told = problems.filter(({ operation, pointer }) => !places.has(operation || pointer.split('/', 4).join('/')));
  const shown = told
    .slice(0, mostProblems)
    .map(({ operation, pointer, message }) => ({ subject: operation || pointer || title, message }));
  const left = told.length - shown.length;
  return left === 0 ? shown : [...shown, { subject: title, message: `There are ${left} more of such problems.` }];
}

/** JSON pointer of an operation. */
function placeOf(path: string, method: string): string {
  return `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method.toLowerCase()}`;
}

function lacks(schemes: string, count: number): string {
  return `${count} operations ask for the credentials ${schemes}, and "auth" has none that fits; calls of them may be refused.`;
}

function fillWallet({ securitySchemes }: Conversion, { credentials, oauthScheme }: ApiTransport, deps: PrepareDeps): Wallet {
  const filled = Object.entries(credentials).map(([name, given]) => {
    if (given.kind === 'value') return [name, { kind: 'value', value: deps.resolveSecrets(given.value) }] as const;
    const [username, password] = [deps.resolveSecrets(given.username), deps.resolveSecrets(given.password)];
    return [name, { kind: 'password', username, password }] as const;
  });
  return openWallet(securitySchemes, Object.fromEntries(filled), oauthScheme);
}

interface FixedHeaders {
  readonly list: readonly string[];
  /** Lower-case. */
  readonly names: ReadonlySet<string>;
  readonly secrets: readonly Buffer[];
}

function fixedHeaders(subject: string, { headers }: ApiTransport, deps: PrepareDeps): FixedHeaders {
  const filled = resolveAll(headers, deps);
  const list: string[] = ['user-agent', `${deps.instance.name}/${deps.instance.version}`, 'accept-encoding', 'identity'];
  if (deps.instance.hop !== undefined) list.push(hopHeader, deps.instance.hop);
  for (const [name, value] of Object.entries(filled)) {
    if (!isSettable(name) && !/^(authorization|cookie|user-agent|x-forwarded-.*)$/i.test(name))
      deps.log.warn({ header: name }, `${subject} sets a header that belongs to the connection; it is left out`);
    else if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
      throw new GatewayError(
        'bad_configuration',
        `${subject} sets the header ${JSON.stringify(name)}, which cannot be sent as it is.`,
      );
    else {
      // Two of one name would be sent as two.
      if (name.toLowerCase() === 'user-agent') list.splice(0, 2);
      list.push(name, value);
    }
  }
  const names = new Set(Object.keys(filled).map((name) => name.toLowerCase()));
  const secrets = secretForms([...secretsOf(Object.values(headers), deps), ...secretsByName(Object.entries(filled))]);
  return { list, names, secrets };
}

interface Context {
  readonly base: URL;
  readonly firstServer: URL | undefined;
  readonly transport: ApiTransport;
  readonly wallet: Wallet;
  readonly fixed: FixedHeaders;
  readonly checks: ArgumentChecks;
}

type Prepared = { readonly tool: ToolDefinition; readonly call: PreparedCall } | { readonly problem: string };

function prepareOperation(operation: Operation, context: Context, lacking: Map<string, number>): Prepared {
  const { transport, wallet, fixed, checks, base } = context;
  const basePath = basePathOf(operation, context);
  if (typeof basePath !== 'string') return basePath;
  const choice = chooseEntrance(operation, wallet);
  if ('lacks' in choice && !hasOwnCredentials(fixed)) {
    const schemes = choice.lacks.join(', ');
    lacking.set(schemes, (lacking.get(schemes) ?? 0) + 1);
  }
  const entrance: Entrance =
    'entrance' in choice ? choice.entrance : { headers: [], query: '', cookies: '', taken: new Set(), needsBearer: false };
  const defaults = transport.defaults as JsonObject;
  const request = compileRequest(operation, { basePath, entrance, defaults, fixedHeaders: fixed.names });
  if ('problem' in request) return request;
  const tool = offered(operation, transport, request);
  const { outputSchema } = tool;
  const accept = [...operation.answer.accept, ...(operation.answer.accept.includes('*/*') ? [] : ['*/*;q=0.1'])].join(', ');
  const reader: AnswerReader = {
    check: isObject(outputSchema) ? checks.of(outputSchema) : undefined,
    isWrapped: operation.answer.isWrapped,
    trim: compileTrim(transport.answer),
    limitBytes: transport.answer.limitBytes,
    pagedBy: pagingArguments(operation),
    isHead: operation.method === 'HEAD',
    uri: `${base.origin}${basePath}${operation.path}`,
  };
  const headers = [...withoutTaken(fixed.list, entrance), 'accept', /^[\t\x20-\x7e]*$/.test(accept) ? accept : '*/*'];
  return { tool, call: { operation, request, reader, headers, needsBearer: entrance.needsBearer } };
}

/** A scheme's credential stands in place of a configured header of its name: two of them would be anybody's guess. */
function withoutTaken(list: readonly string[], { taken }: Entrance): readonly string[] {
  if (taken.size === 0) return list;
  return list.filter((_, at) => !taken.has(`header ${list[at - (at % 2)]?.toLowerCase()}`));
}

function hasOwnCredentials({ names }: FixedHeaders): boolean {
  return [...names].some((name) => /^(authorization|cookie)$|key|token/.test(name));
}

/** The definition that is offered: our name, our judgement of what it does, without what no caller decides. */
function offered(operation: Operation, { rename, defaults, answer }: ApiTransport, { dropped }: CompiledRequest): ToolDefinition {
  const { tool, method } = operation;
  const isReading = method === 'GET' || method === 'HEAD';
  const given = isObject(tool.annotations) ? tool.annotations : {};
  const annotations: JsonObject = {
    ...given,
    readOnlyHint: isReading,
    ...(isReading ? {} : { destructiveHint: method === 'DELETE' || method === 'PUT' || method === 'PATCH' }),
    idempotentHint: isReading || method === 'PUT' || method === 'DELETE',
    openWorldHint: true,
  };
  const { outputSchema, ...rest } = tool;
  // What is left of an answer need not be what the description promises.
  const promises = answer.select === undefined && answer.trim.length === 0 ? outputSchema : undefined;
  return {
    ...rest,
    name: renamed(operation, rename) ?? tool.name,
    inputSchema: withoutArguments(tool.inputSchema, dropped, Object.keys(defaults)),
    ...(promises === undefined ? {} : { outputSchema: promises }),
    annotations,
    ...metaOf(operation, rest._meta),
  };
}

/** The same object where nothing of it changes: what was compiled for it stays. */
function withoutArguments(schema: JsonObject, dropped: readonly string[], optional: readonly string[]): JsonObject {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const kept = required.filter((name) => typeof name !== 'string' || !(dropped.includes(name) || optional.includes(name)));
  if (dropped.length === 0 && kept.length === required.length) return schema;
  const properties = isObject(schema.properties) ? schema.properties : {};
  const { required: _, ...rest } = schema;
  return {
    ...rest,
    properties: Object.fromEntries(Object.entries(properties).filter(([name]) => !dropped.includes(name))),
    ...(kept.length === 0 ? {} : { required: kept }),
  };
}

const paging =
  /^(page|per_?page|page_?(size|token|number)|offset|limit|cursor|after|before|start|skip|top|next|max_?results|\$(top|skip))$/i;

function pagingArguments({ request }: Operation): readonly string[] {
  return request.parameters
    .filter(({ in: place, name }) => place === 'query' && paging.test(name))
    .map(({ argument }) => argument);
}

function baseOf(subject: string, { servers }: Conversion, { baseUrl }: ApiTransport): { base: URL; isForeign: boolean } {
  const base = baseUrl === undefined ? servers.map(absolute).find((url) => url !== undefined) : absolute(baseUrl);
  if (base !== undefined && base.search === '') return { base, isForeign: baseUrl === undefined };
  const [first] = servers;
  const said = first === undefined ? 'names no server' : `says only "${first.slice(0, 200)}"`;
  throw new GatewayError(
    'bad_configuration',
    baseUrl === undefined
      ? `${subject} has no whole address: its description ${said}. Write "baseUrl".`
      : `${subject} has a "baseUrl" that is not a plain http or https address without query.`,
  );
}

/** Undefined for what is relative, templated, or no http address. */
function absolute(text: string | undefined): URL | undefined {
  if (text === undefined || /[{}]/.test(text)) return undefined;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  return url.username === '' && url.password === '' && url.hash === '' ? url : undefined;
}

/** Where an operation begins under the base. One of another origin is not called: credentials are for the declared one only. */
function basePathOf({ request: { server } }: Operation, { base, firstServer }: Context): string | { readonly problem: string } {
  if (server === undefined) return pathOf(base);
  const own = absolute(server);
  if (own !== undefined && own.origin !== base.origin && own.origin !== firstServer?.origin)
    return { problem: `its description sends it to ${own.origin}; declare the API once more with that "baseUrl" to have it` };
  if (own !== undefined) return pathOf(own);
  const resolved = /[{}]/.test(server) ? null : URL.parse(server, base.href);
  return resolved?.origin === base.origin ? pathOf(resolved) : { problem: `its server "${server.slice(0, 200)}" is no address` };
}

function pathOf({ pathname }: URL): string {
  return pathname.replace(/\/+$/, '');
}

/** For the catalog alone: what tells where a tool belongs, and how it is called. */
function metaOf({ tags, examples }: Operation, given: unknown): { readonly _meta?: JsonObject } {
  const meta: JsonObject = {
    ...(isObject(given) ? (given as JsonObject) : {}),
    ...(tags.length === 0 ? {} : { 'dev.gatehouse/tags': [...tags] }),
    ...(examples.length === 0
      ? {}
      : {
          'dev.gatehouse/examples': examples.map(({ summary, arguments: given }) => ({
            ...(summary === undefined ? {} : { summary }),
            arguments: given,
          })),
        }),
  };
  return Object.keys(meta).length === 0 ? {} : { _meta: meta };
}
