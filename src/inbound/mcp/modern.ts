import { ScopeRequired, visibleToolbox } from '../../call/authorize.ts';
import type { Toolbox } from '../../catalog/catalog.ts';
import { instructionsOf } from '../../catalog/search-tools.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { CallMethod } from '../../upstreams/upstream.ts';
import { modernVersion } from '../../wire/mcp.ts';
import type { Edge } from './edge.ts';
import { readEnvelope } from './era.ts';
import { checkNamedHeaders } from './headers.ts';
import { listen } from './listen.ts';
import { capabilitiesOf, isListMethod, listResult } from './lists.ts';
import { errorMessage, ownModernResult, resultMessage, retryHeaders, toRpcError } from './messages.ts';
import { serveCall } from './modern-call.ts';
import type { ModernRequest } from './request.ts';
import { serveTask } from './tasks.ts';

/** Answers one request. What goes wrong is the answer; but throws ScopeRequired, whose challenge is the door's to make. */
export async function handleModern(edge: Edge, request: ModernRequest): Promise<void> {
  try {
    await dispatch(edge, request);
  } catch (thrown) {
    const error = toGatewayError(thrown);
    if (error instanceof ScopeRequired) throw error;
    if (error.code === 'internal') edge.log.error({ err: error.cause, method: request.message.method }, 'a request failed');
    request.reply.finish(errorMessage(request.message.id, toRpcError(error)), error.row.http, retryHeaders(error));
  }
}

function dispatch(edge: Edge, request: ModernRequest): Promise<void> {
  const { message, caller, reply } = request;
  const { method } = message;
  if (isCallMethod(method)) return serveCall(edge, request, method);
  if (request.headers !== undefined) checkNamedHeaders(request.headers, message);
  switch (method) {
    case 'subscriptions/listen': {
      const { capabilities } = readEnvelope(message.params);
      return listen(edge, { caller, ip: request.ip, toolbox: request.toolbox, message, reply, capabilities });
    }
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return serveTask(edge, request, method, readEnvelope(message.params).capabilities);
    case 'server/discover':
      readEnvelope(message.params);
      return answerSettled(edge, request, () =>
        discover(visibleToolbox(edge.circumstances(request.ip), edge.catalog(), caller, request.toolbox)),
      );
  }
  if (!isListMethod(method))
    throw new GatewayError(
      'method_not_found',
      `There is no method "${method.slice(0, 100)}" in protocol version ${modernVersion}.`,
    );
  readEnvelope(message.params);
  return answerSettled(edge, request, () => listResult(edge.list(request), method, 'modern', message.params, edge.hop));
}

function isCallMethod(method: string): method is CallMethod {
  return method === 'tools/call' || method === 'prompts/get' || method === 'resources/read' || method === 'completion/complete';
}

async function answerSettled(edge: Edge, { message, reply }: ModernRequest, result: () => readonly Buffer[]): Promise<void> {
  await edge.settled();
  reply.finish(resultMessage(message.id, result()));
}

function discover(toolbox: Toolbox): readonly Buffer[] {
  const { caching } = toolbox;
  const instructions = instructionsOf(toolbox);
  return ownModernResult({
    supportedVersions: [modernVersion],
    capabilities: capabilitiesOf(toolbox, 'modern'),
    ...(instructions === undefined ? {} : { instructions }),
    ...caching,
  });
}
