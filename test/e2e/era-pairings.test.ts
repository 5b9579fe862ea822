import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClientKind, clientKinds, connectClient, type Door, type TestClient, textOf } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft, runMarker, type Spawned, startFixture } from '../support/processes.ts';
import { readTap, tapCommand } from '../support/stdio-tap.ts';
import { until } from '../support/until.ts';
import type { WireMessage } from '../support/wire.ts';
import { type Sighting, startWireTap, type WireTap } from '../support/wire-tap.ts';

type UpstreamEra = 'legacy' | 'modern';

let fixtures: (Spawned & { url: string })[];
let south: Record<UpstreamEra, WireTap>;
let north: Record<UpstreamEra, WireTap>;
let gateway: Gateway;

beforeAll(async () => {
  fixtures = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  const [legacy, modern] = fixtures;
  south = { legacy: await startWireTap(legacy?.url ?? ''), modern: await startWireTap(modern?.url ?? '') };
  gateway = await startGateway(
    (['legacy', 'modern'] as const).map(
      (era) => `
namespace: ${era}
upstreams:
  fixture: { kind: mcp, url: "${south[era].url}" }
toolboxes:
  ${era}-box: { include: ["${era}/*"] }
`,
    ),
  );
  north = {
    legacy: await startWireTap(gateway.mcpUrl('legacy-box')),
    modern: await startWireTap(gateway.mcpUrl('modern-box')),
  };
});

afterAll(async () => {
  await gateway?.stop();
  await Promise.all(
    [...Object.values(north ?? {}), ...Object.values(south ?? {}), ...(fixtures ?? [])].map((part) => part.stop()),
  );
  await expectNoneLeft();
});

/** Both hops since a moment, with the questions the tests ask. */
function record(upstream: UpstreamEra) {
  const start = { north: north[upstream].sightings.length, south: south[upstream].sightings.length };
  const seen = (hop: 'north' | 'south'): Sighting[] =>
    (hop === 'north' ? north : south)[upstream].sightings.slice(start[hop]) as Sighting[];
  const messages = (hop: 'north' | 'south', to: Sighting['to']): WireMessage[] =>
    seen(hop).flatMap((sighting) => (sighting.to === to ? [sighting.message] : []));
  const requests = (hop: 'north' | 'south', method: string): Sighting[] =>
    seen(hop).filter(({ to, message }) => to === 'server' && message.method === method);
  const answerTo = ({ message: { id } }: Sighting, hop: 'north' | 'south'): WireMessage => {
    const answer = messages(hop, 'client').find((message) => message.id === id && message.method === undefined);
    if (answer === undefined) throw new Error(`nothing answered ${id} on the ${hop} hop`);
    return answer;
  };
  return { seen, messages, requests, answerTo };
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length > 1) throw new Error(`expected one, got ${items.length}`);
  return item;
}

const reserved = /^io\.modelcontextprotocol\//;
const settled = (outcome: Promise<unknown>): Promise<Error | undefined> =>
  outcome.then(
    () => undefined,
    (error: Error) => error,
  );

const pairings = clientKinds.flatMap((kind) => (['legacy', 'modern'] as const).map((upstream) => ({ kind, upstream })));

describe.each(pairings)('$kind client, $upstream upstream', ({ kind, upstream }: { kind: ClientKind; upstream: UpstreamEra }) => {
  let client: TestClient;
  const tool = (name: string): string => `${upstream}__${name}`;
  const door = (): Door => ({ url: north[upstream].url, key: gateway.key });
  const uri = (path: string): string => `test://gh.${upstream}.fixture/${path}`;

  /** To be called before a client connects: legacy clients open the stream for changes some time after that. */
  function expectStream(): (client: TestClient) => Promise<void> {
    const open = (): number =>
      north[upstream].exchanges.filter(({ method, status, ending }) => method === 'GET' && status === 200 && ending === 'open')
        .length;
    const before = open();
    return async ({ era }) => {
      if (era === 'legacy') await until('the client opened its stream', () => open() > before);
    };
  }

  beforeAll(async () => {
    client = await connectClient(kind, door());
  });
  afterAll(async () => {
    await client?.close();
  });

  test('a call carries the same content under another name', async () => {
    const wire = record(upstream);
    const result = await client.call(tool('test_echo'), { text: 'naïve 漢字 \u0001 "quoted" \\' });
    expect(textOf(result)).toBe('naïve 漢字 \u0001 "quoted" \\');
    const above = only(wire.requests('north', 'tools/call'));
    const below = only(wire.requests('south', 'tools/call'));
    expect(above.message.params.name).toBe(tool('test_echo'));
    expect(below.message.params.name).toBe('test_echo');
    expect(below.message.params.arguments).toEqual(above.message.params.arguments);
    expect(wire.answerTo(above, 'north').result.content).toEqual(wire.answerTo(below, 'south').result.content);
  });

  test('URIs inside a result are the gateway’s own, everything else is as it came', async () => {
    const wire = record(upstream);
    const result = await client.call(tool('test_multiple_content_types'));
    const below = wire.answerTo(only(wire.requests('south', 'tools/call')), 'south').result.content;
    const expected = structuredClone(below);
    expected[2].resource.uri = uri('mixed-content-resource');
    expect(result.content).toEqual(expected);
  });

  test('each hop speaks its own era and nothing of the other', async () => {
    const wire = record(upstream);
    await client.call(tool('test_simple_text'));
    const above = wire.answerTo(only(wire.requests('north', 'tools/call')), 'north');
    const below = only(wire.requests('south', 'tools/call'));
    const envelope = Object.keys(below.message.params._meta ?? {}).filter((key) => reserved.test(key));
    expect(below.exchange.requestHeaders.authorization).toBeUndefined();
    if (client.era === 'legacy') {
      expect(above.result).not.toHaveProperty('resultType');
      expect(Object.keys(above.result._meta ?? {}).filter((key) => reserved.test(key))).toEqual([]);
    } else {
      expect(above.result.resultType).toBe('complete');
    }
    if (upstream === 'legacy') {
      expect(envelope).toEqual([]);
      expect(below.exchange.requestHeaders).toHaveProperty('mcp-session-id');
      expect(below.exchange.requestHeaders['mcp-protocol-version']).toBe('2025-11-25');
    } else {
      expect(envelope).toContain('io.modelcontextprotocol/clientCapabilities');
      expect(below.exchange.requestHeaders).not.toHaveProperty('mcp-session-id');
      expect(below.exchange.requestHeaders).toMatchObject({
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'test_simple_text',
      });
    }
  });

  test('an argument that is mirrored into a header is mirrored on a modern hop, and on no other', async () => {
    const wire = record(upstream);
    await client.listTools();
    const result = await client.call(tool('test_mirrored_header'), { region: 'Tromsø ' });
    const { requestHeaders } = only(wire.requests('south', 'tools/call')).exchange;
    const encoded = `=?base64?${Buffer.from('Tromsø ').toString('base64')}?=`;
    expect(requestHeaders['mcp-param-region']).toBe(upstream === 'modern' ? encoded : undefined);
    expect(textOf(result)).toBe(`argument=Tromsø  header=${upstream === 'modern' ? encoded : 'none'}`);
  });

  test('a failing tool’s text arrives word for word', async () => {
    const result = await client.call(tool('test_error_handling'));
    expect(result.isError).toBe(true);
    expect(textOf(result)).toBe('This tool intentionally returns an error for testing');
  });

  test('an upstream’s error arrives as an error of the client’s era', async () => {
    const wire = record(upstream);
    const error = await settled(client.request('resources/read', { uri: uri('no-such-thing') }));
    expect(error).toBeInstanceOf(Error);
    const above = wire.answerTo(only(wire.requests('north', 'resources/read')), 'north');
    const below = wire.answerTo(only(wire.requests('south', 'resources/read')), 'south');
    expect(below.error?.code).toBe(upstream === 'legacy' ? -32002 : -32602);
    // 2026-07-28 server/resources: -32002 must not be emitted; the older revisions know both.
    expect(client.era === 'modern' ? [-32602] : [-32002, -32602]).toContain(above.error?.code);
  });

  test('progress arrives in order, with the values and words it was sent with', async () => {
    const wire = record(upstream);
    const heard: unknown[] = [];
    await client.call(
      tool('test_progress_steps'),
      { steps: 5, marker: kind },
      { onProgress: (progress) => heard.push(progress) },
    );
    const sent = [1, 2, 3, 4, 5].map((step) => ({ progress: step, total: 5, message: `${kind} ${step}` }));
    expect(heard).toEqual(sent);
    const tokens = (hop: 'north' | 'south'): Set<unknown> =>
      new Set(
        wire
          .messages(hop, 'client')
          .filter(({ method }) => method === 'notifications/progress')
          .map(({ params }) => params.progressToken),
      );
    expect([...tokens('north')]).toEqual([only(wire.requests('north', 'tools/call')).message.params._meta.progressToken]);
    expect([...tokens('south')]).toEqual([only(wire.requests('south', 'tools/call')).message.params._meta.progressToken]);
  });

  test('nobody is told progress who did not ask for it', async () => {
    const wire = record(upstream);
    await client.call(tool('test_progress_steps'), { steps: 3 });
    expect(wire.messages('north', 'client').filter(({ method }) => method === 'notifications/progress')).toEqual([]);
  });

  test('a cancelled call is cancelled upstream, and the next one works', async () => {
    const key = `${kind}-${upstream}`;
    const wire = record(upstream);
    const controller = new AbortController();
    const heard: unknown[] = [];
    const call = settled(
      client.call(tool('test_hold'), { key }, { signal: controller.signal, onProgress: (progress) => heard.push(progress) }),
    );
    await until('the upstream holds the call', () => heard.length > 0);
    const below = only(wire.requests('south', 'tools/call'));
    controller.abort();
    expect(await call).toBeInstanceOf(Error);
    await until('the upstream hears of it', async () => {
      return textOf(await client.call(tool('test_hold_state'), { key })) === 'cancelled';
    });
    if (upstream === 'modern') expect(below.exchange.ending).toBe('client-closed');
    else {
      const cancelled = wire.messages('south', 'server').filter(({ method }) => method === 'notifications/cancelled');
      expect(cancelled.map(({ params }) => params.requestId)).toEqual([below.message.id]);
    }
    expect(textOf(await client.call(tool('test_echo'), { text: 'still here' }))).toBe('still here');
  });

  test('the user is asked exactly what the upstream asks, and the upstream gets exactly the answer', async () => {
    const wire = record(upstream);
    client.asked.length = 0;
    client.answers.elicitation = { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } };
    const result = await client.call(tool('test_elicitation'), { message: 'Who are you?' });
    expect(textOf(result)).toBe('User response: action=accept, content={"username":"ada","email":"ada@example.com"}');
    const asked = only(client.asked);
    const below =
      upstream === 'legacy'
        ? only(wire.messages('south', 'client').filter(({ method }) => method === 'elicitation/create')).params
        : wire.messages('south', 'client').find(({ result }) => result?.resultType === 'input_required')?.result.inputRequests
            .answer.params;
    expect(asked.params.message).toBe(below.message);
    expect(asked.params.requestedSchema).toEqual(below.requestedSchema);
    const requestsToClient = wire
      .messages('north', 'client')
      .filter(({ id, method }) => id !== undefined && method !== undefined);
    expect(requestsToClient).toHaveLength(client.era === 'legacy' ? 1 : 0);
  });

  test.each(['decline', 'cancel'])('a user may %s', async (action) => {
    client.answers.elicitation = { action };
    const result = await client.call(tool('test_elicitation'), { message: 'Who are you?' });
    expect(textOf(result)).toBe(`User response: action=${action}, content={}`);
  });

  test('a second question follows the first, each hop with its own state', async () => {
    const wire = record(upstream);
    client.asked.length = 0;
    client.answers.elicitation = { action: 'accept', content: { name: 'Ada', color: 'blue' } };
    expect(textOf(await client.call(tool('test_input_required_result_multi_round')))).toBe('Ada likes blue');
    expect(client.asked.map(({ params }) => params.message)).toEqual([
      'Step 1: What is your name?',
      'Step 2: What is your favorite color?',
    ]);
    const given = (hop: 'north' | 'south'): string[] =>
      wire.messages(hop, 'client').flatMap(({ result }) => result?.requestState ?? []);
    const returned = (hop: 'north' | 'south'): string[] =>
      wire.messages(hop, 'server').flatMap(({ params }) => params?.requestState ?? []);
    expect(returned('south')).toEqual(given('south'));
    expect(given('south')).toHaveLength(upstream === 'modern' ? 2 : 0);
    expect(returned('north')).toEqual(given('north'));
    expect(given('north')).toHaveLength(client.era === 'modern' ? 2 : 0);
    expect(given('north').filter((state) => given('south').includes(state))).toEqual([]);
  });

  test('the client’s model answers the upstream’s sampling', async () => {
    client.asked.length = 0;
    const result = await client.call(tool('test_sampling'), { prompt: 'Say something.' });
    expect(textOf(result)).toBe('LLM response: sampled');
    const { method, params } = only(client.asked);
    expect(method).toBe('sampling/createMessage');
    expect(params).toMatchObject({
      maxTokens: 100,
      messages: [{ role: 'user', content: { type: 'text', text: 'Say something.' } }],
    });
  });

  test('three questions at once are all answered', async () => {
    client.asked.length = 0;
    client.answers.elicitation = { action: 'accept', content: { name: 'Ada' } };
    const result = await client.call(tool('test_input_required_result_multiple_inputs'));
    expect(textOf(result)).toBe('sampled Ada in [{"uri":"file:///work","name":"work"}]');
    expect(client.asked.map(({ method }) => method).sort()).toEqual([
      'elicitation/create',
      'roots/list',
      'sampling/createMessage',
    ]);
  });

  test('a prompt may ask too', async () => {
    client.asked.length = 0;
    client.answers.elicitation = { action: 'accept', content: { context: 'the sea' } };
    expect(await client.getPrompt(tool('test_input_required_result_prompt'))).toContain('Use this context: the sea');
    expect(client.asked.map(({ params }) => params.message)).toEqual(['What context should the prompt use?']);
  });

  test('a client that cannot be asked gets an answer, not silence', async () => {
    const mute = await connectClient(kind, door(), { capabilities: {} });
    try {
      const wire = record(upstream);
      const outcome = await mute.call(tool('test_elicitation'), { message: 'Who are you?' }).catch((error: Error) => error);
      if (!(outcome instanceof Error)) expect(outcome.isError).toBe(true);
      if (client.era === 'modern') {
        // 2026-07-28 basic/index: MissingRequiredClientCapability with what is missing, at HTTP 400.
        const above = only(wire.requests('north', 'tools/call'));
        expect(wire.answerTo(above, 'north').error).toMatchObject({
          code: -32021,
          data: { requiredCapabilities: { elicitation: {} } },
        });
        expect(above.exchange.status).toBe(400);
      }
      expect(textOf(await mute.call(tool('test_echo'), { text: 'still here' }))).toBe('still here');
    } finally {
      await mute.close();
    }
  });

  test('a changed list is announced, and shows when asked for', async () => {
    const streamOpened = expectStream();
    const watcher = await connectClient(kind, door());
    try {
      await watcher.watch();
      await streamOpened(watcher);
      const extra = tool('test_extra_tool');
      for (const isListed of [true, false]) {
        watcher.changes.length = 0;
        await client.call(tool('test_trigger_tool_change'));
        await until('the change is announced', () => watcher.changes.includes('tools'));
        expect((await watcher.listTools()).includes(extra)).toBe(isListed);
      }
    } finally {
      await watcher.close();
    }
  });

  test('a watched resource’s update arrives under the URI the client knows', async () => {
    const streamOpened = expectStream();
    const watcher = await connectClient(kind, door());
    try {
      await watcher.watch([uri('watched-resource')]);
      await streamOpened(watcher);
      await client.call(tool('test_trigger_resource_update'));
      await until('the update arrives', () => watcher.changes.includes(uri('watched-resource')));
    } finally {
      await watcher.close();
    }
  });

  test('log messages arrive from the level that was asked for', async () => {
    const wire = record(upstream);
    client.logs.length = 0;
    await client.call(tool('test_tool_with_logging'), {}, { logLevel: 'info' });
    await until('three messages', () => client.logs.length === 3);
    expect(client.logs.map(({ data, level }) => ({ data, level }))).toEqual([
      { data: 'Tool execution started', level: 'info' },
      { data: 'Tool processing data', level: 'info' },
      { data: 'Tool execution completed', level: 'info' },
    ]);
    const below = wire.messages('south', 'client').filter(({ method }) => method === 'notifications/message');
    expect(below.map(({ params }) => params.data)).toEqual(client.logs.map(({ data }) => data));
  });

  test('log messages below it do not', async () => {
    client.logs.length = 0;
    await client.call(tool('test_logging_tool'), {}, { logLevel: 'error' });
    await client.call(tool('test_echo'), { text: 'a round trip later' });
    expect(client.logs).toEqual([]);
  });
});

describe.each(['legacy', 'modern'] as const)('two clients of one %s upstream', (upstream) => {
  test.each(clientKinds)('%s clients with the same ids and tokens hear only their own', async (kind) => {
    const wire = record(upstream);
    const names = ['one', 'two', 'three', 'four'];
    const clients = await Promise.all(names.map(() => connectClient(kind, { url: north[upstream].url, key: gateway.key })));
    try {
      await Promise.all(
        clients.map(async (client, index) => {
          const marker = names[index] ?? '';
          const heard: unknown[] = [];
          const result = await client.call(
            `${upstream}__test_progress_steps`,
            { steps: 20, marker },
            { onProgress: ({ message }) => heard.push(message) },
          );
          expect(textOf(result)).toBe(`${marker} 20`);
          expect(heard).toEqual(Array.from({ length: 20 }, (_, step) => `${marker} ${step + 1}`));
        }),
      );
      const calls = wire.requests('south', 'tools/call');
      const bySession = calls.map(({ exchange, message }) => `${exchange.requestHeaders['mcp-session-id']} ${message.id}`);
      expect(new Set(bySession).size).toBe(names.length);
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });

  test('a question goes to the client whose call it belongs to', async () => {
    const names = ['ada', 'bob', 'cyd'];
    const clients = await Promise.all(
      names.map((_, index) => connectClient(clientKinds[index] ?? 'v1', { url: north[upstream].url, key: gateway.key })),
    );
    try {
      await Promise.all(
        clients.map(async (client, index) => {
          const username = names[index] ?? '';
          client.answers.elicitation = { action: 'accept', content: { username, email: `${username}@example.com` } };
          const message = `Are you ${username}?`;
          const result = await client.call(`${upstream}__test_elicitation`, { message });
          expect(client.asked.map(({ params }) => params.message)).toEqual([message]);
          expect(textOf(result)).toContain(`${username}@example.com`);
        }),
      );
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });
});

describe('over stdio', () => {
  const eras = ['legacy', 'modern'] as const;
  let directory: string;
  let piped: Gateway;
  const log = (era: UpstreamEra): string => join(directory, `${era}.log`);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gatehouse-taps-'));
    const [markerName, markerValue] = runMarker.split('=');
    piped = await startGateway(
      eras.map((era) => {
        const fixture = fileURLToPath(new URL(`../fixtures/everything-${era}.ts`, import.meta.url));
        const command = JSON.stringify(tapCommand(log(era), [process.execPath, fixture, '--stdio']));
        return `
namespace: ${era}
upstreams:
  fixture: { kind: mcp, command: ${command}, env: { ${markerName}: "${markerValue}" } }
`;
      }),
    );
  });

  afterAll(async () => {
    await piped?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** What the upstream's pipe carried since a moment. */
  function tap(era: UpstreamEra): (to: 'server' | 'client') => WireMessage[] {
    const start = readTap(log(era)).length;
    return (to) =>
      readTap(log(era))
        .slice(start)
        .flatMap((seen) => (seen.to === to ? [seen.message] : []));
  }

  describe.each(clientKinds.flatMap((kind) => eras.map((era) => ({ kind, era }))))(
    '$kind client, $era upstream',
    ({ kind, era }) => {
      let client: TestClient;
      beforeAll(async () => {
        client = await connectClient(kind, { url: piped.mcpUrl(), key: piped.key });
      });
      afterAll(async () => {
        await client?.close();
      });

      test('call, progress and logging arrive', async () => {
        const heard: unknown[] = [];
        const result = await client.call(
          `${era}__test_progress_steps`,
          { steps: 5, marker: kind },
          { onProgress: ({ message }) => heard.push(message) },
        );
        expect(textOf(result)).toBe(`${kind} 5`);
        expect(heard).toEqual([1, 2, 3, 4, 5].map((step) => `${kind} ${step}`));
        client.logs.length = 0;
        await client.call(`${era}__test_logging_tool`, {}, { logLevel: 'info' });
        await until('the log message', () => client.logs.length === 1);
      });

      test('questions reach the user, answers the upstream', async () => {
        client.answers.elicitation = { action: 'accept', content: { name: 'Ada', color: 'blue' } };
        expect(textOf(await client.call(`${era}__test_input_required_result_multi_round`))).toBe('Ada likes blue');
      });

      test('a cancellation names the request on the pipe', async () => {
        const key = `stdio-${kind}-${era}`;
        const wire = tap(era);
        const controller = new AbortController();
        const heard: unknown[] = [];
        const call = settled(
          client.call(
            `${era}__test_hold`,
            { key },
            { signal: controller.signal, onProgress: (progress) => heard.push(progress) },
          ),
        );
        await until('the upstream holds the call', () => heard.length > 0);
        const { id } = only(wire('server').filter(({ method }) => method === 'tools/call'));
        controller.abort();
        expect(await call).toBeInstanceOf(Error);
        await until('the pipe carries the cancellation', () =>
          wire('server').some(({ method, params }) => method === 'notifications/cancelled' && params.requestId === id),
        );
      });

      test('a changed list is announced', async () => {
        const watcher = await connectClient(kind, { url: piped.mcpUrl(), key: piped.key });
        try {
          await watcher.watch();
          for (let count = 0; count < 2; count++) {
            watcher.changes.length = 0;
            await client.call(`${era}__test_trigger_tool_change`);
            await until('the change is announced', () => watcher.changes.includes('tools'));
          }
        } finally {
          await watcher.close();
        }
      });
    },
  );
});
