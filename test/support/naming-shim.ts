import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import { keepAliveTimeout } from './upstreams/listen-on.ts';
import { EventReader } from './wire.ts';

interface ShimOptions {
  /** Full address of the gateway's MCP endpoint. */
  readonly target: string;
  /** Sent as Bearer; the conformance suite itself cannot send one. */
  readonly key: string;
  /** Present for a prefixed toolbox: `namespace` and `upstream` whose names and URIs stand bare on this side. */
  readonly bare?: { readonly namespace: string; readonly upstream: string };
}

type Values = { [name: string]: unknown };

/** Lets a client that knows only an upstream's own names and URIs use a prefixed toolbox. */
export async function startNamingShim({ target, key, bare }: ShimOptions): Promise<{ url: string; stop(): Promise<void> }> {
  const destination = new URL(target);
  const names = bare === undefined ? undefined : createNaming(bare.namespace, bare.upstream);

  async function relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const sent = Buffer.concat(chunks).toString();
    const body = names === undefined ? sent : rewriteText(sent, names.outward);
    const headers: NodeJS.Dict<string | string[]> = { ...request.headers, authorization: `Bearer ${key}` };
    delete headers['content-length'];
    delete headers['transfer-encoding'];
    const mirrored = headers['mcp-name'];
    if (names !== undefined && typeof mirrored === 'string') headers['mcp-name'] = names.header(mirrored, headers['mcp-method']);
    if (body !== '') headers['content-length'] = `${Buffer.byteLength(body)}`;
    // The Host header stays the client's own: the suite tests what the gateway makes of a foreign one.
    const outgoing = send({
      host: destination.hostname,
      port: destination.port,
      path: destination.pathname,
      method: request.method,
      headers,
    });
    response.once('close', () => outgoing.destroy());
    outgoing.on('error', () => response.destroy());
    outgoing.on('response', (answer) => {
      const answered = { ...answer.headers };
      delete answered['content-length'];
      const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      if (!isStream) delete answered['transfer-encoding'];
      response.writeHead(answer.statusCode ?? 502, answered);
      response.flushHeaders();
      const back = (text: string): string => (names === undefined ? text : rewriteText(text, names.inward));
      const events = new EventReader(({ id, name, data }) => {
        const lines = [
          ...(name === undefined ? [] : [`event: ${name}`]),
          ...(id === undefined ? [] : [`id: ${id}`]),
          ...(data === undefined ? [':'] : [`data: ${back(data)}`]),
        ];
        response.write(`${lines.join('\n')}\n\n`);
      });
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        if (isStream) events.push(chunk);
        else text += chunk;
      });
      answer.on('end', () => response.end(isStream ? undefined : back(text)));
      answer.on('error', () => response.destroy());
    });
    outgoing.end(body);
  }

  const server = createServer({ keepAliveTimeout }, (request, response) => {
    relay(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function rewriteText(text: string, rewrite: (message: Values) => void): string {
  if (text === '') return text;
  try {
    const message = JSON.parse(text) as Values;
    rewrite(message);
    return JSON.stringify(message);
  } catch {
    return text;
  }
}

function createNaming(namespace: string, upstream: string) {
  const prefix = `${namespace}__`;
  const authority = `gh.${namespace}.${upstream}/`;
  const mapUri = (uri: string): string => uri.replace('://', `://${authority}`);
  const plainUri = (uri: string): string => uri.replace(`://${authority}`, '://');
  const plainName = (name: string): string => (name.startsWith(prefix) ? name.slice(prefix.length) : name);

  function outward(message: Values): void {
    const params = message.params as Values | undefined;
    if (params === undefined) return;
    const ref = params.ref as Values | undefined;
    if (message.method === 'tools/call' || message.method === 'prompts/get') {
      if (typeof params.name === 'string') params.name = prefix + params.name;
    }
    if (typeof params.uri === 'string') params.uri = mapUri(params.uri);
    if (typeof ref?.name === 'string') ref.name = prefix + ref.name;
    if (typeof ref?.uri === 'string') ref.uri = mapUri(ref.uri);
    const wanted = params.notifications as Values | undefined;
    if (Array.isArray(wanted?.resourceSubscriptions)) wanted.resourceSubscriptions = wanted.resourceSubscriptions.map(mapUri);
  }

  function inward(message: Values): void {
    const result = message.result as Values | undefined;
    for (const list of [result?.tools, result?.prompts]) {
      if (!Array.isArray(list)) continue;
      for (const definition of list as Values[]) {
        if (typeof definition.name === 'string') definition.name = plainName(definition.name);
      }
    }
    plainUris(message);
  }

  function plainUris(value: unknown): void {
    if (Array.isArray(value)) for (const item of value) plainUris(item);
    else if (typeof value === 'object' && value !== null) {
      const object = value as Values;
      for (const [name, member] of Object.entries(object)) {
        if (typeof member !== 'string') plainUris(member);
        else if (name === 'uri' || name === 'uriTemplate') object[name] = plainUri(member);
      }
    }
  }

  function header(value: string, method: string | string[] | undefined): string {
    const encoded = /^=\?base64\?(.*)\?=$/.exec(value)?.[1];
    const plain = encoded === undefined ? value : Buffer.from(encoded, 'base64').toString();
    const mapped = method === 'resources/read' ? mapUri(plain) : prefix + plain;
    return encoded === undefined ? mapped : `=?base64?${Buffer.from(mapped).toString('base64')}?=`;
  }

  return { outward, inward, header };
}
