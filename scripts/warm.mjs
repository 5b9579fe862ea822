// Starts what was built once in each way and calls a tool through it, for two reasons: a bundle that does not work fails here and
// not at a user's, and Node keeps the code it compiled in dist/compile-cache (per Node version and user), so that the first real
// start is fast too.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const entry = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'gatehouse.mjs');
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-warm-'));
const namespaces = join(directory, 'namespaces');
const settings = ['--data', join(directory, 'data'), '--namespaces', namespaces];
const key = randomBytes(32).toString('hex');
mkdirSync(namespaces);

const handshake = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'build', version: '1' } };
const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params: handshake };
const modern = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': handshake.clientInfo,
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** Runs one command until its output shows `mark`, does with it what is to be done, and waits for its end. */
function start(args, mark, use) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, GATEHOUSE_ADMIN_KEY: key };
    const child = spawn(process.execPath, [entry, ...args, ...settings], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let using;
    const read = (chunk) => {
      output += chunk;
      const found = using === undefined ? mark.exec(output) : null;
      if (found !== null)
        using = use(child, found).then(
          () => undefined,
          (error) => ({ error }),
        );
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.stdin.on('error', () => {});
    child.stdin.write(`${JSON.stringify(hello)}\n`);
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.once('close', async (code, signal) => {
      clearTimeout(timer);
      const failed = using === undefined ? { error: new Error(`did not start (${signal ?? `exit code ${code}`})`) } : await using;
      if (failed === undefined) resolve();
      else reject(new Error(`gatehouse ${args[0]}: ${failed.error.message}:\n${output}`));
    });
  });
}

/** The least of an MCP server: what was kept is what a start with upstreams and a first call need. */
async function startUpstream() {
  const results = {
    initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'build', version: '1' } },
    'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object', properties: { text: { type: 'string' } } } }] },
    'tools/call': { content: [{ type: 'text', text: 'done' }] },
  };
  const server = createServer(async (request, response) => {
    const text = (await request.setEncoding('utf8').toArray()).join('');
    if (text === '') return response.writeHead(405).end();
    const { id, method } = JSON.parse(text);
    if (id === undefined) return response.writeHead(202).end();
    const result = results[method];
    const answer = result === undefined ? { error: { code: -32601, message: 'unknown' } } : { result };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

async function send(url, method, params, headers) {
  const response = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 2, method, params }),
  });
  return { text: await response.text(), session: response.headers.get('mcp-session-id') };
}

/** A call in each era; the upstream may still be on its way in when the first one is made. */
async function call(url) {
  const tool = { name: 'build__echo', arguments: { text: 'hello' } };
  const head = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': tool.name };
  const deadline = Date.now() + 20_000;
  for (let isDone = false; !isDone; ) {
    const { text } = await send(url, 'tools/call', { ...tool, _meta: modern }, head);
    isDone = text.includes('done');
    if (!isDone && Date.now() > deadline) throw new Error(`a call was not answered: ${text}`);
  }
  const { session } = await send(url, 'initialize', handshake, {});
  const legacy = { 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': session };
  await send(url, 'tools/list', {}, legacy);
  const { text } = await send(url, 'tools/call', tool, legacy);
  if (!text.includes('done')) throw new Error(`a call was not answered: ${text}`);
}

const upstream = await startUpstream();
try {
  writeFileSync(
    join(namespaces, 'build.yaml'),
    `namespace: build\nupstreams:\n  build: { kind: mcp, url: "http://127.0.0.1:${upstream.address().port}/mcp" }\n` +
      'toolboxes:\n  build: { include: ["build/*"] }\n',
  );
  // The first process to load a file keeps its code, with those functions only that it ran: so the fullest comes first.
  await start(['serve', '--port', '0'], /"url":"([^"]+)".*"listening"/, async (child, [, url]) => {
    await call(url).finally(() => child.kill('SIGTERM'));
  });
  await start(['stdio'], /"result"/, async (child) => child.stdin.end());
} catch (error) {
  process.stderr.write(`dist/gatehouse.mjs was built but does not work. ${error.message}\n`);
  process.exitCode = 1;
} finally {
  upstream.close();
  rmSync(directory, { recursive: true, force: true });
}
