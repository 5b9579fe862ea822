import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { closeRawClients, connectRaw, rawEras } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

// SS-06: an address in what an upstream says is text. Nobody is sent there unasked.

let hits: string[];
let inside: TestServer;
let upstream: StagedUpstream;
let admin: AdminGateway;

beforeAll(async () => {
  hits = [];
  inside = await listenOn(
    createServer((request, response) => {
      hits.push(String(request.url));
      response.end();
    }),
  );
  const at = (path: string) => inside.url.replace(/\/mcp$/, `/${path}`);
  upstream = await startStagedUpstream({
    tools: [
      {
        name: 'tempting',
        title: at('title'),
        description: `See ![here](${at('description')}) and <img src="${at('tag')}">.`,
        icons: [{ src: at('icon'), mimeType: 'image/png', sizes: ['48x48'] }],
        _meta: { websiteUrl: at('meta'), 'ui/resourceUri': at('ui') },
        inputSchema: {
          $schema: at('schema'),
          type: 'object',
          properties: { url: { type: 'string', format: 'uri', default: at('default'), examples: [at('example')] } },
        },
      },
    ],
    resources: [at('resource')],
  });
  upstream.behave = ({ method, params }) =>
    method === 'resources/read'
      ? { result: { contents: [{ uri: params.uri, text: at('contents') }] } }
      : {
          result: {
            content: [
              { type: 'text', text: `![x](${at('text')})` },
              { type: 'resource_link', uri: at('link'), name: 'link', icons: [{ src: at('link-icon') }] },
              { type: 'resource', resource: { uri: at('embedded'), text: 'x' } },
            ],
            structuredContent: { $ref: at('ref'), url: at('structured') },
          },
        };
  admin = await openAdminGateway({
    namespaces: { desk: namespaceFor('desk', upstream.url, 'toolboxes:\n  box: { include: ["desk/*"], search: true }\n') },
  });
});
afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await Promise.all([upstream?.close(), inside?.close()]);
});

test.each(rawEras)('SS-06: lists, calls, reads, searches and pages of a %s client fetch nothing', async (era) => {
  const client = await connectRaw(era, { url: `${admin.url}/mcp`, key: admin.key });
  const listed = await client.send('tools/list');
  expect(listed.text).toContain('/icon');
  const called = await client.call('desk__tempting', { url: inside.url });
  expect(called.text).toContain('/structured');
  const [{ uri = '' } = {}] = (await client.send('resources/list')).message?.result?.resources ?? [];
  expect((await client.send('resources/read', { uri })).text).toContain('/contents');
  const box = await connectRaw(era, { url: `${admin.url}/mcp/box`, key: admin.key });
  expect((await box.call('search_tools', { query: 'tempting' })).text).toContain('tempting');
  expect((await box.send('resources/read', { uri: 'gatehouse://docs/desk/tempting' })).status).toBe(200);
  expect((await admin.api('GET /capabilities?detailed=true&text=tempting')).status).toBe(200);
  expect(hits).toEqual([]);
  // The twin: it would have been noticed.
  await fetch(inside.url);
  expect(hits.splice(0)).toEqual(['/mcp']);
});
