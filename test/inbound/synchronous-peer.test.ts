import { PassThrough, Writable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { serveStdio } from '../../src/inbound/mcp/stdio.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';

// A client in the same process, whose answer is there before the question's own write has come back.

let upstream: CountingUpstream;
let gateway: AdminGateway;
beforeAll(async () => {
  upstream = await startCountingUpstream();
  const gate = 'policy: { gates: [{ match: support/echo, by: caller }] }\n';
  gateway = await openAdminGateway({ namespaces: { support: namespaceFor('support', upstream.url, gate) } });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

test.each([
  ['approve', '"n\\":1'],
  ['deny', 'approval_denied'],
] as const)('a question that is answered (%s) while it is put is answered, once', async (decision, expected) => {
  const input = new PassThrough();
  const send = (message: object) => input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const { promise: answered, resolve } = Promise.withResolvers<string>();
  let questions = 0;
  const hear = (line: string) => {
    const message = JSON.parse(line);
    if (message.method === 'elicitation/create') {
      questions += 1;
      send({ id: message.id, result: { action: 'accept', content: { decision } } });
    } else if (message.id === 1) send({ id: 2, method: 'tools/call', params: { name: 'support__echo', arguments: { n: 1 } } });
    else if (message.id === 2) resolve(line);
  };
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) if (line !== '') hear(line);
      done();
    },
  });
  const caller = authenticateLocalUser('all');
  const left = serveStdio(gateway.gateway.edge, { caller, toolbox: '', input, output, limitBytes: 1_000_000 });
  const clientInfo = { name: 'test', version: '1' };
  send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo } });
  expect(await answered).toContain(expected);
  expect(questions).toBe(1);
  setImmediate(() => input.end());
  await left;
});
