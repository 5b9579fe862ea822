import { ApprovalPending } from '../../call/approve/say.ts';
import { BadArguments } from '../../call/bad-arguments.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { SignInRequired } from '../../upstreams/authorization.ts';
import { version } from '../../version.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { memberBytes, type RawResult, type RpcError } from '../../wire/message.ts';

/** Our own name in `_meta`, where the upstream's would give away who answers (MCP 2026-07-28 basic/index). */
export const serverInfo = { name: 'gatehouse', title: 'Gatehouse', version } as const;

const serverInfoKey = 'io.modelcontextprotocol/serverInfo';
const ownMeta = memberBytes('_meta', JSON.stringify({ [serverInfoKey]: serverInfo }));
const isComplete = memberBytes('resultType', '"complete"');
const errorKey = 'dev.gatehouse/error';

/** A whole response around a result that is already bytes. */
export function resultMessage(id: string, result: readonly Buffer[]): Buffer[] {
  return [opening, Buffer.from(id), resultKey, ...result, closing];
}

const opening = Buffer.from('{"jsonrpc":"2.0","id":');
const resultKey = Buffer.from(',"result":');

const closing = Buffer.from('}');

/** `id` is undefined where the request could not be read (JSON-RPC 2.0 section 5). */
export function errorMessage(id: string | undefined, error: RpcError): Buffer[] {
  return [Buffer.from(`{"jsonrpc":"2.0","id":${id ?? 'null'},"error":${JSON.stringify(error)}}`)];
}

/** Until when to wait, in whole seconds, rounded up (RFC 9110 section 10.2.3). */
export function retryHeaders({ retryAfterMs }: GatewayError): Readonly<Record<string, number>> | undefined {
  return retryAfterMs === undefined ? undefined : { 'retry-after': Math.max(1, Math.ceil(retryAfterMs / 1000)) };
}

export function toRpcError(error: GatewayError): RpcError {
  const { rpc } = error.row;
  const data = error.data as Json | undefined;
  return data === undefined ? { code: rpc, message: error.message } : { code: rpc, message: error.message, data };
}

/** A result as modern clients expect it: complete, and in our name. */
export function modernResult(result: RawResult, extra: readonly Buffer[] = []): Buffer[] {
  return result.edit(ownMembers, [...extra, isComplete, ownedMeta(result)]);
}

// Whoever may have an answer is decided here, so nobody else may be given it from a cache.
const ownMembers = ['resultType', '_meta', 'cacheScope'];

// An upstream's `_meta` is nearly always the same few bytes: its own name.
const owned = new Map<string, Buffer>();

function ownedMeta(result: RawResult): Buffer {
  const source = result.source('_meta');
  if (source === undefined) return ownMeta;
  let meta = owned.get(source);
  if (meta === undefined) {
    meta = withOwnServerInfo(result.get('_meta'));
    if (source.length > 500) return meta;
    if (owned.size >= 100) owned.clear();
    owned.set(source, meta);
  }
  return meta;
}

/** A result as legacy clients know it: without what only the modern era says. */
export function legacyResult(result: RawResult): Buffer[] {
  if (!result.has('resultType') && !result.has('_meta')) return [result.bytes.subarray(result.start, result.end)];
  const meta = result.get('_meta');
  if (!isObject(meta) || !Object.hasOwn(meta, serverInfoKey)) return result.edit(modernMembers, []);
  const { [serverInfoKey]: _, ...rest } = meta;
  const kept = Object.keys(rest).length === 0 ? [] : [memberBytes('_meta', JSON.stringify(rest))];
  return result.edit([...modernMembers, '_meta'], kept);
}

const modernMembers = ['resultType', 'ttlMs', 'cacheScope'];

/** A result of our own, in the modern era's shape. `value` may name another `resultType`. */
export function ownModernResult(value: JsonObject, meta?: JsonObject): Buffer[] {
  return [Buffer.from(JSON.stringify({ resultType: 'complete', ...value, _meta: { ...meta, [serverInfoKey]: serverInfo } }))];
}

/** What an upstream sent looked like JSON until somebody read it: that is its failure, not ours. */
export function unreadable(thrown: unknown): unknown {
  if (!(thrown instanceof SyntaxError)) return thrown;
  return new GatewayError('upstream_failed', 'The upstream sent an answer that is not valid JSON; ask its operator.', {
    cause: thrown,
  });
}

/** Of a bug there is nothing to say to a client but where its operator finds the reason. */
export function withTrace(thrown: unknown, trace: string | undefined): unknown {
  const error = toGatewayError(thrown);
  if (error.code !== 'internal' || trace === undefined) return thrown;
  return new GatewayError('internal', error.message, { cause: error.cause, data: { trace } });
}

/**
 * Everything that was thrown on a call's way, as the client of a tool should see it: text the model can act on, a code for programs.
 * `trace` is what the call's record is found by.
 */
export function toolError(thrown: unknown, trace?: string): JsonObject | undefined {
  const error = toGatewayError(thrown);
  if (error.row.shows !== 'result') return undefined;
  const { code, retryAfterMs } = error;
  const details: JsonObject = retryAfterMs === undefined ? { code } : { code, retryAfterMs };
  if (trace !== undefined) details.trace = trace;
  if (error instanceof BadArguments) details.errors = error.misfits;
  let text = error.message;
  if (error instanceof SignInRequired) {
    details.url = error.url;
    text += `\n\n${error.url}`;
  }
  if (error instanceof ApprovalPending) {
    details.approval = error.id;
    if (error.url !== undefined) details.url = error.url;
  }
  return { content: [{ type: 'text', text }], isError: true, _meta: { [errorKey]: details } };
}

function withOwnServerInfo(meta: Json | undefined): Buffer {
  if (!isObject(meta)) return ownMeta;
  const { [serverInfoKey]: _, ...rest } = meta;
  if (Object.keys(rest).length === 0) return ownMeta;
  return memberBytes('_meta', JSON.stringify({ ...rest, [serverInfoKey]: serverInfo }));
}
