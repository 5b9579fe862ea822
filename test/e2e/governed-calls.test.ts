import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeKey } from '../../src/call/authenticate/key-ring.ts';
import { connectClient, textOf } from '../support/clients.ts';
import { type Gateway, gatewayCommand, startGateway } from '../support/gateway.ts';
import { startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { type Answered, closeRawClients, codeOf, connectRaw, type RawClient, rawEras, toolText } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { newMasterKey, openRegistrar, type Place, placeSettings, type Registrar } from '../support/registrar.ts';
import { type Arrival, type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../telemetry/otlp-receiver.ts';

const tools = [
  'echo',
  'get_it',
  'send_it',
  'flag',
  'redact',
  'block',
  { name: 'typed', inputSchema: { type: 'object', properties: { count: { type: 'integer', maximum: 9 } }, required: ['count'] } },
  ...Array.from({ length: 6 }, (_, n) => `tool_${n}`),
];
const awsKey = 'AKIAZ7QX3LWDT5HNV2PK';

let upstream: StagedUpstream;
let receiver: OtlpReceiver;
let issuer: TestIssuer;
let registrar: Registrar;
let directory: string;
let place: Place;
let gateway: Gateway;
/** On the same store, with issuers and without trusted proxies. */
let other: Gateway;
const keys = new Map<string, string>();
const keyOf = (id: string): string => keys.get(id) ?? '';

const publicUrl = 'https://gatehouse.example.com';
const privateNetwork = '203.0.113.0/24';

function namespaceFiles(url: string): string[] {
  const file = (name: string, policy: string, include = '["*"]') =>
    `namespace: ${name}\nupstreams:\n  staged: { kind: mcp, url: "${url}", timeoutMs: 1000, include: ${include} }\n${policy}`;
  const breaker = (more: string) => `policy: { breaker: { minimumCalls: 1000, openMs: 600, ${more} } }\n`;
  return [
    `${file('open', '')}toolboxes:\n  triage: { include: ["open/echo", "open/get_it"] }\n  both: { include: ["open/*", "ruled/*"] }\n`,
    file('ruled', `policy: { allow: ['args.dryRun == true', 'caller.role == "admin"'] }\n`),
    file('inside', `policy: { network: ["${privateNetwork}"] }\n`),
    file(
      'content',
      `policy:
  content:
    - { match: ["content/flag"], rules: [secrets], do: flag }
    - { match: ["content/redact"], rules: [secrets], do: redact }
    - { match: ["content/block"], rules: [secrets], do: block }
`,
      '[flag, redact, block]',
    ),
    file(
      'retried',
      `policy: { retry: { match: ["retried/get_*"], attempts: 3 }, breaker: { minimumCalls: 1000 } }\n`,
      '[get_it, send_it]',
    ),
    file('row', breaker('consecutiveFailures: 3'), '[echo]'),
    file('slow', breaker('consecutiveFailures: 2, latencyMs: 60'), '[echo]'),
    file('watched', breaker('consecutiveFailures: 2, detectOnly: true'), '[echo]'),
    file('own', '', '[echo, get_it]'),
    ...Array.from({ length: 3 }, (_, n) => file(`random-${n}`, '', '["tool_*"]')),
  ];
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-governed-'));
  place = { dataDir: join(directory, 'data'), masterKey: newMasterKey() };
  [upstream, receiver, issuer, registrar] = await Promise.all([
    startStagedUpstream({ tools, resources: ['res://one'], prompts: ['greet'] }),
    startOtlpReceiver(),
    startOidcProvider(),
    openRegistrar(place),
  ]);
  upstream.behave = behave;
  await register();
  const config = join(directory, 'gatehouse.yaml');
  writeFileSync(config, issuersConfig());
  const shared = { ...placeSettings(place), GATEHOUSE_EGRESS_ALLOW: '127.0.0.1' };
  gateway = await startGateway(namespaceFiles(upstream.url), {
    ...shared,
    GATEHOUSE_TRUSTED_PROXIES: '127.0.0.1',
    GATEHOUSE_OTLP_URL: receiver.url,
    GATEHOUSE_TRACE_SAMPLING: '0',
  });
  other = await startGateway(namespaceFiles(upstream.url), { ...shared, GATEHOUSE_CONFIG: config });
});

afterAll(async () => {
  await Promise.all([gateway?.stop(), other?.stop()]);
  await registrar?.close();
  await Promise.all([closeRawClients(), upstream?.close(), receiver?.close(), issuer?.close()]);
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

/** Fails, waits or answers something as the arguments of a call say; the first arrivals of a name may be told to fail. */
const failing = new Map<string, number>();
async function behave(arrival: Arrival) {
  const args = arrival.params.arguments ?? {};
  const left = failing.get(arrival.name) ?? 0;
  if (left > 0) {
    failing.set(arrival.name, left - 1);
    return { status: 500 };
  }
  if (args.fails === true) return { status: 500 };
  if (args.hangsUp === true) return undefined;
  if (typeof args.waitsMs === 'number') await new Promise((resolve) => setTimeout(resolve, args.waitsMs));
  if (args.leaks === true) return { result: { content: [{ type: 'text', text: `the key is ${awsKey}` }] } };
  return upstream.echo(arrival);
}

async function register(): Promise<void> {
  const key = async (id: string, rights: Parameters<Registrar['key']>[1] = {}) => keys.set(id, await registrar.key(id, rights));
  await key('plain');
  await key('triage', { scope: { toolboxes: ['triage'] } });
  await key('open-only', { scope: { namespaces: ['open'] } });
  await key('getter', { scope: { capabilities: ['open/get_*'] } });
  await key('inside', { network: [privateNetwork] });
  await key('expired', { expiresAtMs: 1 });
  await key('disabled', { state: 'disabled' });
  for (const [id, rpm] of [
    ['hurried', 1],
    ['shadowed', 1],
  ] as const) {
    await registrar.consumer(id, { limits: [{ per: 'consumer', rpm, shadow: id === 'shadowed' }] });
    await key(id, { consumer: id });
  }
  await registrar.policy('capability:open/tool_5', { limits: [{ per: 'capability', rpm: 1 }] });
  await registrar.policy('capability:own/get_it', { breaker: { consecutiveFailures: 2, openMs: 60_000, minimumCalls: 1000 } });
  await registerRandom(key);
}

interface RandomPolicy {
  readonly scope: string;
  readonly policy: Parameters<Registrar['policy']>[1];
}

const randomRule = fc.constantFrom(
  'true',
  'false',
  'args.go == true',
  'args.go == false',
  'caller.key == "random-0"',
  'caller.key.startsWith("random-") && args.go == true',
  'caller.role == "admin"',
  'capability.name.endsWith("1") || capability.name.endsWith("2")',
  'capability.method == "tools/call"',
  'network.isPrivate',
  'args.other > 3',
);
const randomNetwork = fc.constantFrom<string[] | undefined>(undefined, undefined, ['127.0.0.0/8'], [privateNetwork], []);
const randomTool = fc.tuple(fc.nat(2), fc.nat(5)).map(([namespace, tool]) => `random-${namespace}/tool_${tool}`);
const randomPolicy: fc.Arbitrary<RandomPolicy> = fc.record({
  scope: fc.oneof(
    fc.nat(2).map((n) => `namespace:random-${n}`),
    randomTool.map((name) => `capability:${name}`),
  ),
  policy: fc.record(
    { allow: fc.array(randomRule, { maxLength: 2 }), network: randomNetwork.filter((network) => network !== undefined) },
    { requiredKeys: [] },
  ),
});
const randomRights = fc.record({
  scope: fc.record(
    {
      namespaces: fc.subarray(['random-0', 'random-1', 'random-2']),
      capabilities: fc.array(fc.oneof(randomTool, fc.constantFrom('*/tool_1', 'random-1/*', 'random-*/tool_*')), {
        maxLength: 3,
      }),
    },
    { requiredKeys: [] },
  ),
  network: randomNetwork,
});
const randomKeys = 8;

async function registerRandom(key: (id: string, rights: Parameters<Registrar['key']>[1]) => Promise<unknown>): Promise<void> {
  const [policies = [], rights = []] = fc.sample(
    fc.tuple(
      fc.uniqueArray(randomPolicy, { minLength: 4, maxLength: 10, selector: ({ scope }) => scope }),
      fc.array(randomRights, { minLength: randomKeys, maxLength: randomKeys }),
    ),
    1,
  )[0] as [RandomPolicy[], { scope: object; network: string[] | undefined }[]];
  for (const { scope, policy } of policies) await registrar.policy(scope, policy);
  for (const [n, { scope, network }] of rights.entries())
    await key(`random-${n}`, { scope, ...(network === undefined ? {} : { network }) });
}

function issuersConfig(): string {
  return `publicUrl: ${publicUrl}
issuers:
  - issuer: ${issuer.issuer}
    claims:
      member: email
      consumer: client_id
      roles:
        - { claim: groups, value: staff, role: developer, namespace: open }
        - { claim: email, value: ada@example.com, role: admin }
`;
}

const connect = (
  era: RawClient['era'],
  id: string,
  options: { toolbox?: string; headers?: Record<string, string>; at?: Gateway } = {},
) =>
  connectRaw(era, {
    url: (options.at ?? gateway).mcpUrl(options.toolbox),
    key: keyOf(id),
    ...(options.headers === undefined ? {} : { headers: options.headers }),
  });

const isDone = ({ status, message }: Answered): boolean =>
  status === 200 && message?.result !== undefined && message.result.isError !== true;
const isUnknown = ({ message }: Answered): boolean =>
  message?.error?.code === -32602 && /^Unknown tool: /.test(message.error.message);
const toolNames = async (client: RawClient): Promise<string[]> =>
  ((await client.send('tools/list')).message?.result?.tools ?? []).map(({ name }: { name: string }) => name);
const recorded = (match: Partial<ReturnType<typeof readJournal>[number]>) =>
  readJournal(place.dataDir).filter((line) => Object.entries(match).every(([key, value]) => line[key as 'kind'] === value));

async function metric(pattern: RegExp): Promise<number> {
  const response = await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${gateway.key}` } });
  const text = await response.text();
  return Number(new RegExp(`^${pattern.source} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}

describe.each(rawEras)('in the %s era', (era) => {
  test('whoever shows no key, or one that is not valid, is told so in the same words', async () => {
    const bodies = new Set<string>();
    for (const key of [makeKey('plain'), makeKey('nobody'), keyOf('expired'), keyOf('disabled'), `${keyOf('plain')}x`]) {
      const response = await fetch(gateway.mcpUrl(), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: '{}',
      });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer realm="gatehouse"');
      bodies.add(await response.text());
    }
    expect(bodies.size).toBe(1);
    expect(isDone(await (await connect(era, 'plain')).call('open__echo'))).toBe(true);
  });

  test('a key scoped to a toolbox enters no other, and cannot tell which there are', async () => {
    expect(await toolNames(await connect(era, 'triage', { toolbox: 'triage' }))).toEqual(['open__echo', 'open__get_it']);
    const refusals = [];
    for (const toolbox of ['both', 'nowhere', undefined]) {
      const refused = await connect(era, 'triage', toolbox === undefined ? {} : { toolbox }).then(
        (client) => client.call('open__echo').then(({ status, text }) => `${status} ${text}`),
        (error: Error) => error.message,
      );
      expect(refused).toContain('404');
      refusals.push(refused.replaceAll(/\\"(both|nowhere)\\"/g, '""').replace(/"id":\d+/, ''));
    }
    const [other, none, everything] = refusals;
    expect(other).toBe(none);
    expect(everything).toContain('a key for a toolbox works at /mcp/<toolbox>');
  });

  test('what a key is not for is neither listed nor told from what is not there', async () => {
    const getter = await connect(era, 'getter');
    expect(await toolNames(getter)).toEqual(['open__get_it']);
    expect(isDone(await getter.call('open__get_it'))).toBe(true);
    const [hidden, missing] = [await getter.call('open__echo'), await getter.call('open__nope')];
    expect(hidden.text.replaceAll('echo', 'nope').replace(/"id":\d+/, '')).toBe(missing.text.replace(/"id":\d+/, ''));
    expect(await toolNames(await connect(era, 'open-only'))).toContain('open__echo');
    expect(isUnknown(await (await connect(era, 'open-only')).call('inside__echo'))).toBe(true);
  });

  test('list and call are one decision, for random policies and callers', { timeout: 60_000 }, async () => {
    const all = [0, 1, 2].flatMap((n) => Array.from({ length: 6 }, (_, tool) => `random-${n}__tool_${tool}`));
    let [listed, hidden] = [0, 0];
    for (let n = 0; n < randomKeys; n += 1) {
      const client = await connect(era, `random-${n}`);
      const names = (await toolNames(client)).filter((name) => name.startsWith('random-'));
      // What a rule says of arguments that could be otherwise is no reason to hide: both are tried, and one that fits.
      for (const name of all) {
        const answers = [];
        for (const args of [{ go: true }, { go: false }, { other: 4 }]) answers.push(await client.call(name, args));
        const canCall = answers.some(isDone);
        expect({ key: n, name, canCall, isUnknown: answers.every(isUnknown) }).toEqual({
          key: n,
          name,
          canCall: names.includes(name),
          isUnknown: !names.includes(name),
        });
        if (canCall) listed += 1;
        else hidden += 1;
      }
    }
    expect(listed + hidden).toBe(randomKeys * all.length);
  });

  test('a network list lets in who comes from there, as trusted proxies tell it', async () => {
    const from = (forwarded: string) => connect(era, 'inside', { headers: { 'x-forwarded-for': forwarded } });
    const inside = await from('203.0.113.9');
    expect(await toolNames(inside)).toContain('inside__echo');
    expect(isDone(await inside.call('inside__echo'))).toBe(true);
    // What a client writes itself stands further left than what the proxy adds.
    for (const forwarded of ['198.51.100.1', '203.0.113.9, 198.51.100.1', 'nonsense', '']) {
      const outside = await from(forwarded);
      expect(await toolNames(outside)).toEqual([]);
      expect(isUnknown(await outside.call('open__echo'))).toBe(true);
    }
    const anybody = await connect(era, 'plain');
    expect(await toolNames(anybody)).not.toContain('inside__echo');
    expect(isUnknown(await anybody.call('inside__echo'))).toBe(true);
    const far = await connect(era, 'plain', { headers: { 'x-forwarded-for': '203.0.113.9' } });
    expect(isDone(await far.call('inside__echo'))).toBe(true);
  });

  test('without a trusted proxy the header means nothing', async () => {
    const claiming = await connect(era, 'inside', { headers: { 'x-forwarded-for': '203.0.113.9' }, at: other });
    expect(await toolNames(claiming)).toEqual([]);
    expect(isUnknown(await claiming.call('open__echo'))).toBe(true);
  });

  test('a rule looks at the arguments, and who is refused reads what to do', async () => {
    const client = await connect(era, 'plain');
    expect(await toolNames(client)).toContain('ruled__echo');
    expect(isDone(await client.call('ruled__echo', { dryRun: true }))).toBe(true);
    for (const args of [{}, { dryRun: false }, { dryRun: 'true' }, { dryRun: 1 }, { DryRun: true }]) {
      const refused = await client.call('ruled__echo', args);
      expect(refused.status).toBe(200);
      expect(codeOf(refused)).toBe('not_allowed');
      expect(toolText(refused)).toMatch(/^The rules of this gateway do not allow ruled\/echo with these arguments\. .+\.$/);
    }
    const sent = upstream.callsOf('echo').filter(({ params }) => params.arguments?.dryRun !== undefined);
    expect(sent.every(({ params }) => params.arguments.dryRun === true)).toBe(true);
  });

  test('arguments that do not fit come back as a result that says how to repair them', async () => {
    const client = await connect(era, 'plain');
    expect(isDone(await client.call('open__typed', { count: 9 }))).toBe(true);
    const before = upstream.callsOf('typed').length;
    for (const [args, told] of [
      [{}, /count/],
      [{ count: 'two' }, /count.*whole number/],
      [{ count: 10 }, /count.*9/],
    ] as const) {
      const refused = await client.call('open__typed', args);
      expect([refused.status, refused.message?.result?.isError, codeOf(refused)]).toEqual([200, true, 'bad_arguments']);
      expect(toolText(refused)).toMatch(told);
    }
    expect(upstream.callsOf('typed')).toHaveLength(before);
  });

  test('a caller over its own limit hears 429 and whole seconds, but is never kept from beginning or listing', async () => {
    const client = await connect(era, 'hurried');
    await until('its limit is used up', async () => (await client.call('open__echo')).status === 429);
    const refused = await client.call('open__echo');
    expect([refused.status, codeOf(refused)]).toEqual([429, 42900]);
    expect(refused.headers['retry-after']).toMatch(/^[1-9]\d{0,2}$/);
    expect(refused.message?.error?.message).toMatch(/1 call a minute for this consumer is used up .* may try again in \d+ s\.$/);
    for (const method of ['tools/list', 'prompts/list', 'resources/list', ...(era === 'modern' ? ['server/discover'] : ['ping'])])
      expect((await client.send(method)).status).toBe(200);
    expect(await (await connect(era, 'hurried')).send('tools/list')).toMatchObject({ status: 200 });
    // Resources and prompts are calls, and count.
    expect((await client.send('resources/read', { uri: 'res://gh.open.staged/one' })).status).toBe(429);
    expect((await client.send('prompts/get', { name: 'open__greet' })).status).toBe(429);
  });

  test('a limit that others use up too is the tool’s answer', async () => {
    const client = await connect(era, 'plain');
    await until('its limit is used up', async () => codeOf(await client.call('open__tool_5')) === 'limit_reached');
    const refused = await client.call('open__tool_5');
    expect([refused.status, refused.message?.result?.isError, codeOf(refused)]).toEqual([200, true, 'limit_reached']);
    expect(toolText(refused)).toMatch(/may try again in \d+ s\.$/);
    expect(refused.message?.result?._meta['dev.gatehouse/error'].retryAfterMs).toBeGreaterThan(0);
    expect(isDone(await client.call('open__tool_4'))).toBe(true);
  });

  test('a shadow limit refuses nothing, and shows what it would have refused', async () => {
    const client = await connect(era, 'shadowed');
    const before = await metric(/gatehouse_limit_refusals_total\{namespace="open"\}/);
    for (let n = 0; n < 4; n += 1) expect(isDone(await client.call('open__echo'))).toBe(true);
    expect(await metric(/gatehouse_limit_refusals_total\{namespace="open"\}/)).toBeGreaterThanOrEqual(before + 3);
  });

  test('content rules flag, redact and block what goes in, and are on record', async () => {
    const client = await connect(era, 'plain');
    const args = { note: `use ${awsKey} please`, era };
    const heard = (name: string) => upstream.callsOf(name).filter(({ params }) => params.arguments?.era === era);
    expect(isDone(await client.call('content__flag', args))).toBe(true);
    expect(heard('flag').at(-1)?.params.arguments).toEqual(args);
    expect(toolText(await client.call('content__redact', args))).toContain('[redacted:secrets/aws-access-key]');
    expect(heard('redact').at(-1)?.params.arguments.note).toBe('use [redacted:secrets/aws-access-key] please');
    const blocked = await client.call('content__block', args);
    expect([blocked.status, codeOf(blocked)]).toEqual([200, 'content_blocked']);
    expect(toolText(blocked)).toContain('secrets/aws-access-key');
    expect(blocked.text).not.toContain(awsKey);
    expect(heard('block')).toEqual([]);
    expect(isDone(await client.call('content__block', { note: 'nothing of the kind', era }))).toBe(true);
    await expectHits({ outcome: 'done' }, 2);
    await expectHits({ outcome: 'refused', code: 'content_blocked' }, 1);
  });

  test('PJ-01: content rules flag, redact and block what comes back, and are on record', async () => {
    const client = await connect(era, 'plain');
    expect(toolText(await client.call('content__flag', { leaks: true }))).toContain(awsKey);
    expect(toolText(await client.call('content__redact', { leaks: true }))).toBe('the key is [redacted:secrets/aws-access-key]');
    const blocked = await client.call('content__block', { leaks: true });
    expect(codeOf(blocked)).toBe('content_blocked');
    expect(blocked.text).not.toContain(awsKey);
    await expectHits({ outcome: 'failed', code: 'content_blocked' }, 1);
    expect(JSON.stringify(readJournal(place.dataDir))).not.toContain(awsKey);
  });

  async function expectHits(match: object, atLeast: number): Promise<void> {
    await until('the record has them', () => {
      const hits = recorded({ kind: 'outcome', ...match }).filter(({ contentRules }) =>
        JSON.stringify(contentRules)?.includes('secrets/aws'),
      );
      return hits.length >= atLeast;
    });
  }

  test('FO-01: only what the operator declared repeatable is repeated; all else is sent exactly once', async () => {
    const client = await connect(era, 'plain');
    const sentFor = async (name: string, args: object) => {
      const id = `${era} ${Math.random()}`;
      const answer = await client.call(`retried__${name}`, { ...args, id });
      return { answer, sent: upstream.callsOf(name).filter(({ params }) => params.arguments?.id === id).length };
    };
    const failed = await sentFor('get_it', { fails: true });
    expect([codeOf(failed.answer), failed.sent]).toEqual(['upstream_failed', 3]);
    failing.set('get_it', 2);
    const repaired = await sentFor('get_it', {});
    expect([isDone(repaired.answer), repaired.sent]).toEqual([true, 3]);
    for (const args of [{ fails: true }, { hangsUp: true }, { waitsMs: 1300 }]) {
      const once = await sentFor('send_it', args);
      expect(once.answer.message?.result?.isError).toBe(true);
      expect(once.sent).toBe(1);
    }
    // It may have acted: what timed out is not repeated, whatever was declared.
    const late = await sentFor('get_it', { waitsMs: 1300 });
    expect([codeOf(late.answer), late.sent]).toEqual(['upstream_timeout', 1]);
  });

  test('the trace of a client goes on at the upstream, in the header and in the message', async () => {
    const client = await connect(era, 'plain');
    const traceId = era === 'modern' ? '4bf92f3577b34da6a3ce929d0e0e4736' : 'aaf92f3577b34da6a3ce929d0e0e4736';
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
    await client.call('open__echo', { traced: era }, { meta: { traceparent, tracestate: 'vendor=1' } });
    const arrived = upstream.callsOf('echo').find(({ params }) => params.arguments?.traced === era);
    expect(arrived?.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    expect(arrived?.headers.tracestate).toBe('vendor=1');
    expect(arrived?.params._meta.traceparent).toBe(arrived?.headers.traceparent);
    expect(arrived?.params._meta.traceparent).not.toBe(traceparent);
    // By the header alone, which proxies set.
    await client.call('open__echo', { byHeader: era }, { headers: { traceparent } });
    const byHeader = upstream.callsOf('echo').find(({ params }) => params.arguments?.byHeader === era);
    expect(byHeader?.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-`));
    await until('its spans arrive', () => receiver.spans.filter((span) => span.traceId === traceId).length >= 4, 15_000);
  });
});

describe('breakers', () => {
  const stateOf = (namespace: string) => metric(new RegExp(`gatehouse_breaker_state\\{upstream="${namespace}/staged"\\}`));
  const [closed, halfOpen, open] = [0, 1, 2];
  const codes = async (client: RawClient, name: string, args: object, times: number) => {
    const all = [];
    for (let n = 0; n < times; n += 1) all.push(codeOf(await client.call(name, args)));
    return all;
  };

  test('failures in a row open it, one call probes, and an answer closes it', async () => {
    const client = await connect('modern', 'plain');
    expect(await codes(client, 'row__echo', { fails: true }, 4)).toEqual([...Array(3).fill('upstream_failed'), 'breaker_open']);
    expect(await stateOf('row')).toBe(open);
    const refused = await client.call('row__echo');
    expect(toolText(refused)).toMatch(/paused because 3 calls in a row failed; the next one is let through within \d s\.$/);
    await until('it is half open', async () => (await stateOf('row')) === halfOpen);
    const racing = await Promise.all(Array.from({ length: 5 }, () => client.call('row__echo', { waitsMs: 150 })));
    expect(racing.filter(isDone)).toHaveLength(1);
    expect(racing.filter((answer) => codeOf(answer) === 'breaker_open')).toHaveLength(4);
    expect(await stateOf('row')).toBe(closed);
    expect(isDone(await client.call('row__echo'))).toBe(true);
  });

  test('a probe that fails opens it again', async () => {
    const client = await connect('legacy', 'plain');
    await until('it is open', async () => codeOf(await client.call('row__echo', { fails: true })) === 'breaker_open');
    await until('it is half open', async () => (await stateOf('row')) === halfOpen);
    expect(await codes(client, 'row__echo', { fails: true }, 2)).toEqual(['upstream_failed', 'breaker_open']);
    await until('it is closed', async () => isDone(await client.call('row__echo')));
  });

  test('answers that take too long open it, and reach their callers all the same', async () => {
    const client = await connect('modern', 'plain');
    expect(await codes(client, 'slow__echo', {}, 3)).toEqual([undefined, undefined, undefined]);
    expect(await codes(client, 'slow__echo', { waitsMs: 90 }, 3)).toEqual([undefined, undefined, 'breaker_open']);
    await until('it is closed', async () => isDone(await client.call('slow__echo')));
  });

  test('one that only detects shows that it would be open, and refuses nothing, half open or not', async () => {
    const client = await connect('modern', 'plain');
    expect(await codes(client, 'watched__echo', { fails: true }, 6)).toEqual(Array(6).fill('upstream_failed'));
    expect(await stateOf('watched')).toBe(open);
    await until('it is half open', async () => (await stateOf('watched')) === halfOpen);
    const racing = await Promise.all(Array.from({ length: 5 }, () => client.call('watched__echo', { waitsMs: 100 })));
    expect(racing.filter(isDone)).toHaveLength(5);
    await until('it is closed', async () => (await stateOf('watched')) === closed);
  });

  test('a capability’s own breaker leaves the others of its upstream alone', async () => {
    const client = await connect('modern', 'plain');
    expect(await codes(client, 'own__get_it', { fails: true }, 3)).toEqual([
      'upstream_failed',
      'upstream_failed',
      'breaker_open',
    ]);
    expect(isDone(await client.call('own__echo'))).toBe(true);
    expect(await stateOf('own')).toBe(closed);
  });
});

test('metrics need a key that may see them, and have the calls', async () => {
  const get = (key: string | undefined) =>
    fetch(`${gateway.url}/metrics`, { headers: key === undefined ? {} : { authorization: `Bearer ${key}` } });
  expect((await get(undefined)).status).toBe(401);
  expect((await get(keyOf('plain'))).status).toBe(403);
  expect((await get(gateway.key)).status).toBe(200);
  const before = await metric(/gatehouse_calls_total\{namespace="open",method="tools\/call",outcome="done",code=""\}/);
  const client = await connect('modern', 'plain');
  for (let n = 0; n < 3; n += 1) await client.call('open__echo');
  const after = await metric(/gatehouse_calls_total\{namespace="open",method="tools\/call",outcome="done",code=""\}/);
  expect(after).toBe(before + 3);
});

test('AU-02: while the journal cannot be written tools are not called, and what reads goes on', async () => {
  const client = await connect('modern', 'plain', { at: other });
  const chains = join(place.dataDir, 'journal');
  // Each process has a chain; the second one's is "2".
  const [chain, aside] = [join(chains, '2'), join(directory, 'aside')];
  await rename(chain, aside);
  await rm(aside, { recursive: true });
  writeFileSync(chain, 'in the way');
  await until('calls are refused', async () => codeOf(await client.call('open__echo')) === 'audit_unavailable');
  const before = upstream.callsOf('echo').length;
  const refused = await client.call('open__echo');
  expect([refused.status, codeOf(refused)]).toEqual([200, 'audit_unavailable']);
  expect(upstream.callsOf('echo')).toHaveLength(before);
  expect(isDone(await client.send('resources/read', { uri: 'res://gh.open.staged/one' }))).toBe(true);
  expect(isDone(await client.send('prompts/get', { name: 'open__greet' }))).toBe(true);
  expect(await toolNames(client)).toContain('open__echo');
  // Whoever looks for what is wrong is told; whoever changes something is not heard.
  const own = (method: string, path: string, body: string | null = null) => {
    const headers = { authorization: `Bearer ${other.key}`, 'content-type': 'application/json' };
    return fetch(new URL(path, other.url), { method, headers, body });
  };
  const health = await own('GET', '/api/health');
  expect([health.status, await health.json()]).toMatchObject([200, { journal: { isWritable: false } }]);
  expect((await own('GET', '/api/usage')).status).toBe(200);
  expect((await own('DELETE', '/api/alerts/none')).status).toBe(503);
  // It changes nothing here, and connects to whatever its caller says.
  expect((await own('POST', '/api/upstreams/test', '{"namespace":"open","name":"staged"}')).status).toBe(503);
  await rm(chain);
  await mkdir(chain);
  await until('calls go on', async () => isDone(await client.call('open__echo')));
});

describe('tokens of an issuer', () => {
  const mcp = `${publicUrl}/mcp`;
  const withToken = (token: string, era: RawClient['era'] = 'modern') => connectRaw(era, { url: other.mcpUrl(), key: token });

  test('without one, a client learns where to go', async () => {
    const response = await fetch(other.mcpUrl('triage'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    expect(response.status).toBe(401);
    const header = response.headers.get('www-authenticate') ?? '';
    const metadata = /resource_metadata="([^"]+)"/.exec(header)?.[1] ?? '';
    expect(metadata).toBe(`${publicUrl}/.well-known/oauth-protected-resource/mcp/triage`);
    const document = await fetch(`${other.url}${new URL(metadata).pathname}`);
    expect(await document.json()).toMatchObject({ resource: `${publicUrl}/mcp/triage`, authorization_servers: [issuer.issuer] });
  });

  test.each(rawEras)('a person is a member with the roles that the rules give, in the %s era', async (era) => {
    const { access } = await issuer.personTokens(mcp, 'bob');
    const client = await withToken(access, era);
    const names = await toolNames(client);
    expect(names).toContain('open__echo');
    expect(names.every((name) => name.startsWith('open__'))).toBe(true);
    expect(isDone(await client.call('open__echo'))).toBe(true);
    expect(isUnknown(await client.call('ruled__echo', { dryRun: true }))).toBe(true);
    await until('it is on record', () => recorded({ kind: 'intent', principal: `oauth:${issuer.issuer}#bob` }).length > 0);
  });

  test('an admin by claim may administer, and a developer may not', async () => {
    const status = async (person: string) => {
      const { access } = await issuer.personTokens(publicUrl, person);
      return (await fetch(`${other.url}/api/consumers`, { headers: { authorization: `Bearer ${access}` } })).status;
    };
    expect(await status('ada')).toBe(200);
    const { access } = await issuer.personTokens(publicUrl, 'bob');
    const create = await fetch(`${other.url}/api/consumers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${access}`, 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'mine', title: 'mine', kind: 'team' }),
    });
    expect(create.status).toBeGreaterThanOrEqual(403);
    expect(create.status).toBeLessThanOrEqual(404);
  });

  test('a member that is disabled here is refused, whatever the issuer says', async () => {
    const { access } = await issuer.personTokens(mcp, 'eve');
    const client = await withToken(access);
    expect(isDone(await client.call('open__echo'))).toBe(true);
    const stream = await client.stream();
    let hasEnded = false;
    void stream.ended.then(() => (hasEnded = true));
    const identities = [`oauth:${issuer.issuer}#eve`];
    await registrar.put('member', 'eve', { title: 'Eve', identities, roles: [], isDisabled: true });
    await until('she is refused', async () => (await client.call('open__echo')).status === 401, 5_000);
    await until('her stream ends', () => hasEnded, 5_000);
  });

  test('OA-01: tokens for another address, of nobody known, or forged are refused with the reason', async () => {
    const elsewhere = await issuer.clientToken('https://elsewhere.example.com/mcp');
    for (const [token, reason] of [
      [elsewhere, 'issued for another address'],
      [`${(await issuer.clientToken(mcp)).slice(0, -8)}AAAAAAAA`, 'signature'],
    ] as const) {
      const response = await fetch(other.mcpUrl(), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: '{}',
      });
      expect(response.status).toBe(401);
      expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"');
      expect(await response.text()).toContain(reason);
    }
  });
});

describe.each(['v1', 'v2 pinned'] as const)('%s over stdio', (kind) => {
  test('takes the same path: rules, arguments and content', async () => {
    const local = gateway.forStdio();
    try {
      const client = await connectClient(kind, { command: [...gatewayCommand, 'stdio'], environment: local.environment });
      // Who starts it is the operator of this machine: every rule that asks for an admin is true.
      expect(textOf(await client.call('ruled__echo', { dryRun: false }))).toBe('{"dryRun":false}');
      expect(await client.call('open__typed', { count: 'x' })).toMatchObject({
        isError: true,
        _meta: { 'dev.gatehouse/error': { code: 'bad_arguments' } },
      });
      expect(textOf(await client.call('content__redact', { note: awsKey }))).toContain('[redacted:secrets/aws-access-key]');
      expect(await client.call('content__block', { note: awsKey })).toMatchObject({
        isError: true,
        _meta: { 'dev.gatehouse/error': { code: 'content_blocked' } },
      });
      await client.close();
      await until('it is on record', () =>
        readJournal(local.environment.GATEHOUSE_DATA ?? '').some(({ code }) => code === 'content_blocked'),
      );
    } finally {
      local.remove();
    }
  });
});
