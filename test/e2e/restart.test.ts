import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientKinds, connectClient } from '../support/clients.ts';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { startGateway } from '../support/gateway.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { gate, says } from '../support/model-providers/script.ts';
import { until } from '../support/until.ts';

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

test('answers of models that run when it stops are finished, and what takes longer than it waits ends in an error of the dialect', async () => {
  const provider = await startOpenai({ key: 'provider-key' });
  const models = `namespace: models
upstreams:
  fast:
    kind: model
    targets: [{ provider: openai, url: "${provider.url}/v1", model: m, key: "\${secret:PROVIDER}" }]
`;
  const told = async (drainMs: number, opens: boolean) => {
    const { url, key, stop } = await startGateway([models], { PROVIDER: 'provider-key', GATEHOUSE_DRAIN_MS: String(drainMs) });
    const hold = gate();
    const long = says('Word after word.', { chunkLength: 4, holds: [{ after: 2, gate: hold }] });
    provider.next(long, long, { ...long, before: hold });
    const ask = (path: string, body: object) =>
      fetch(url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'models/fast', max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }], ...body }),
      });
    const [chat, messages] = [await ask('/v1/chat/completions', { stream: true }), await ask('/v1/messages', { stream: true })];
    const before = provider.journal.length;
    const whole = ask('/v1/chat/completions', {});
    await until('the third one is asked', () => provider.journal.length > before);
    const stopped = stop();
    if (opens) hold.open();
    const texts = await Promise.all([
      chat.text(),
      messages.text(),
      whole.then(async (one) => `${one.status} ${await one.text()}`),
    ]);
    hold.open();
    await stopped;
    return texts;
  };
  try {
    const [chat, messages, whole] = await told(20_000, true);
    expect([chat?.endsWith('data: [DONE]\n\n'), messages?.includes('event: message_stop'), whole?.slice(0, 3)]).toEqual([
      true,
      true,
      '200',
    ]);
    const cut = await told(300, false);
    for (const text of cut) expect(text).toContain('was taken out, or Gatehouse stops.');
    expect(cut.join('')).not.toMatch(/\[DONE\]|message_stop/);
    expect(cut[1]).toContain('event: error');
    expect(cut[2]).toMatch(/^503 \{"error":/);
  } finally {
    await provider.close();
  }
});
