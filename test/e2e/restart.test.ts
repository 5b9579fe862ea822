import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientKinds, connectClient } from '../support/clients.ts';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { startGateway } from '../support/gateway.ts';

let upstream: CountingUpstream;
let directory: string;

beforeAll(async () => {
  upstream = await startCountingUpstream();
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-restart-'));
});

afterAll(async () => {
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

const namespace = () => `namespace: demo\nupstreams:\n  echo: { kind: mcp, url: "${upstream.url}" }\n`;

// Most clients never initialize again: what they hold must stay good (or they are broken until their user restarts them).
test.each(clientKinds)('%s goes on calling after the gateway was restarted', async (kind) => {
  const data = join(directory, kind.replaceAll(' ', '-'));
  const first = await startGateway([namespace()], { GATEHOUSE_DATA: data });
  const { port } = new URL(first.url);
  const client = await connectClient(kind, { url: first.mcpUrl(), key: first.key });
  try {
    expect((await client.call('demo__echo', { n: 1 })).content[0]?.text).toBe('{"n":1}');
    await first.stop();
    const second = await startGateway([namespace()], {
      GATEHOUSE_DATA: data,
      GATEHOUSE_PORT: port,
      GATEHOUSE_ADMIN_KEY: first.key,
    });
    try {
      expect((await client.call('demo__echo', { n: 2 })).content[0]?.text).toBe('{"n":2}');
      expect(await client.listTools()).toEqual(['demo__echo']);
    } finally {
      await client.close();
      await second.stop();
    }
  } catch (error) {
    await first.stop().catch(() => {});
    throw error;
  }
});
