import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findAction, runAction } from '../../src/cli/run-action.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startAnthropic } from '../support/model-providers/anthropic.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { fails, says } from '../support/model-providers/script.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';

// Models as operators and developers meet them: registered, found, routed and watched, through REST, MCP and a real provider's format.

const providerKey = 'sk-provider-0123456789';
const anthropicKey = 'sk-ant-0123456789';
let openai: StandIn;
let anthropic: StandIn;
let gateway: AdminGateway;
let platform: string;
let labs: string;
let developer: string;
let auditor: string;

const usage = { input: 1000, output: 500, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
const primary = () => ({
  ...{ name: 'primary', provider: 'openai', model: 'gpt-5-mini', key: `\${secret:LABS__OPENAI}`, url: `${openai.url}/v1` },
  ...{ region: 'eu', price: { input: 1, output: 4 } },
});
const fallback = () => ({
  ...{
    name: 'fallback',
    provider: 'anthropic',
    model: 'claude-haiku-4-5',
    key: `\${secret:LABS__ANTHROPIC}`,
    url: `${anthropic.url}/v1`,
  },
  ...{ region: 'us', price: { input: 1, output: 5 } },
});
const fast = () => ({
  title: 'Fast and cheap',
  description: 'For drafts.',
  aliases: ['gpt-5-mini'],
  targets: [primary(), fallback()],
  can: ['text', 'tools'],
  contextWindow: 400_000,
  maxOutputTokens: 128_000,
});

beforeAll(async () => {
  openai = await startOpenai({ key: providerKey });
  anthropic = await startAnthropic({ key: anthropicKey });
  gateway = await openAdminGateway({
    namespaces: {
      filed: `namespace: filed\nupstreams:\n  local:\n    kind: model\n    can: [embeddings]\n    targets:\n      - { provider: openai-compatible, model: nomic, url: "${openai.url}/v1", key: "\${secret:LABS__OPENAI}" }\n`,
    },
    settings: { LABS__OPENAI: providerKey, LABS__ANTHROPIC: anthropicKey },
  });
  platform = await gateway.person('platform', [{ role: 'admin' }]);
  await gateway.ok('POST /namespaces', { namespace: 'labs' }, platform);
  labs = await gateway.person('labs-admin', [{ role: 'admin', namespace: 'labs' }]);
  developer = await gateway.person('dev', [{ role: 'developer', namespace: 'labs' }]);
  auditor = await gateway.person('labs-auditor', [{ role: 'auditor', namespace: 'labs' }]);
});
afterAll(async () => {
  await gateway?.stop();
  await openai?.close();
  await anthropic?.close();
});

const chat = (model: string, key: string) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
// biome-ignore lint/suspicious/noExplicitAny: what a client was answered; tests look into it.
const bodyOf = async (response: Response): Promise<any> => await response.json();
const ids = ({ models }: { models: { id: string }[] }) => models.map(({ id }) => id);
const messageOf = (answer: { body: { error?: { message?: string } } }) => answer.body.error?.message ?? '';

describe('US-M-A5: Register External Models', () => {
  test('a model hosted elsewhere is registered by REST, tried with one tiny call of each target, and can be called at once', async () => {
    const { model, findings, trials } = await gateway.ok(
      'POST /models',
      { namespace: 'labs', name: 'fast', entry: fast(), test: true },
      labs,
    );
    expect(findings).toEqual([]);
    expect(model).toMatchObject({ id: 'labs/fast', title: 'Fast and cheap', state: 'available', source: 'registry' });
    expect(trials).toMatchObject([
      { target: 'primary', isWorking: true, answer: 'Hello.', tokensIn: expect.any(Number), costUsd: expect.any(Number) },
      { target: 'fallback', isWorking: true, answer: 'Hello.' },
    ]);
    const answer = await chat('gpt-5-mini', developer);
    expect([answer.status, (await bodyOf(answer)).choices[0].message.content]).toEqual([200, 'Hello.']);
  });

  test('a target that does not answer is said, nothing is registered, and no credential shows', async () => {
    openai.next(fails(401, { echoes: true }));
    const broken = { ...fast(), aliases: [], targets: [primary()] };
    const refused = await gateway.api('POST /models', { namespace: 'labs', name: 'broken', entry: broken, test: true }, labs);
    expect([refused.status, messageOf(refused)]).toEqual([
      400,
      expect.stringMatching(/labs\/broken was not registered.*\n.*The target primary did not answer: /),
    ]);
    expect(JSON.stringify(refused.body)).not.toContain(providerKey);
    expect((await gateway.api('GET /models/labs/broken', undefined, labs)).status).toBe(404);
    const registered = await gateway.ok('POST /models', { namespace: 'labs', name: 'broken', entry: broken }, labs);
    expect(registered.trials).toBeUndefined();
    await gateway.ok('DELETE /models/labs/broken', {}, labs);
  });

  test('an address that may not be reached at run time is not, whatever is asked of it', async () => {
    const targets = [{ ...primary(), url: 'http://10.1.2.3:11434/v1' }];
    const refused = await gateway.api(
      'POST /models',
      { namespace: 'labs', name: 'inside', entry: { targets }, test: true },
      labs,
    );
    expect([refused.status, messageOf(refused)]).toEqual([400, expect.stringContaining('may be reached')]);
  });

  test('a credential that is written out, in a key, a header or an address, is refused and never repeated', async () => {
    const secret = 'sk-written-out-9876543210';
    for (const more of [{ key: secret }, { headers: { 'x-api-key': secret } }, { url: `${openai.url}/v1?api_key=${secret}` }]) {
      const refused = await gateway.api(
        'POST /models',
        { namespace: 'labs', name: 'written', entry: { targets: [{ ...primary(), ...more }] } },
        labs,
      );
      expect(refused.status).toBe(400);
      expect(JSON.stringify(refused.body)).not.toContain(secret);
    }
  });

  test('the admin of one namespace uses its secrets and no others, and takes nobody the name of their model', async () => {
    const foreign = await gateway.api(
      'POST /models',
      { namespace: 'labs', name: 'thief', entry: { targets: [{ ...primary(), key: `\${secret:FILED__KEY}` }] } },
      labs,
    );
    expect(messageOf(foreign)).toContain('is not a secret of the namespace labs');
    for (const alias of ['filed/local', 'filed/soon', 'filed__soon']) {
      const entry = { targets: [primary()], aliases: [alias] };
      const refused = await gateway.api('POST /models', { namespace: 'labs', name: 'thief', entry }, labs);
      expect([alias, refused.status]).toEqual([alias, 400]);
    }
    const compared = (model: string) => ({ ...fast(), aliases: [], cache: { ttlMs: 1000, semantic: { model } } });
    const borrowed = await gateway.api(
      'POST /models',
      { namespace: 'labs', name: 'thief', entry: compared('filed/local') },
      labs,
    );
    expect(borrowed).toMatchObject({ status: 400, body: { error: { message: expect.stringContaining('filed/local') } } });
    await gateway.ok('POST /models', { namespace: 'labs', name: 'own', entry: compared('labs/embed') }, labs);
    await gateway.ok('DELETE /models/labs/own', {}, labs);
    const elsewhere = await gateway.api('POST /models', { namespace: 'filed', name: 'mine', entry: fast() }, labs);
    expect(elsewhere.status).toBe(403);
  });

  test('an alias takes nothing away from a model that cannot be served right now', async () => {
    const gone = `namespace: away\nupstreams:\n  one: { kind: model, targets: [{ provider: openai, model: m, key: "\${secret:NOT_THERE}", url: "${openai.url}/v1" }] }\n`;
    const squat = `namespace: squat\nupstreams:\n  two: { kind: model, aliases: [away/one, free], targets: [{ provider: openai, model: m, key: "\${secret:LABS__OPENAI}", url: "${openai.url}/v1" }] }\n`;
    const other = await openAdminGateway({ namespaces: { away: gone, squat }, settings: { LABS__OPENAI: providerKey } });
    const ask = (model: string) =>
      fetch(`${other.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${other.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
      });
    expect([(await ask('free')).status, (await ask('away/one')).status]).toEqual([200, 503]);
    await other.stop();
  });

  test('what a file declares says where it changes, and is not changed here', async () => {
    const model = await gateway.ok('GET /models/filed/local', undefined, platform);
    expect(model).toMatchObject({ source: 'file', file: expect.stringContaining('filed.yaml') });
    for (const [route, body] of [
      ['PUT /models/filed/local', { entry: fast() }],
      ['PATCH /models/filed/local/routing', { attempts: 1 }],
      ['DELETE /models/filed/local', {}],
    ] as const) {
      const refused = await gateway.api(route, body, platform);
      expect([refused.status, messageOf(refused)]).toEqual([409, expect.stringContaining('can only be changed there')]);
    }
  });

  test('it is changed as a whole, by the revision that was looked at, and taken out', async () => {
    const entry = { ...fast(), aliases: [], title: 'Second' };
    const first = await gateway.ok('POST /models', { namespace: 'labs', name: 'passing', entry }, labs);
    const { revision } = first.model;
    const changed = await gateway.ok(
      'PUT /models/labs/passing',
      { entry: { ...entry, title: 'Renamed', contextWindow: 1000, maxOutputTokens: 100 }, revision },
      labs,
    );
    expect(changed.model).toMatchObject({ title: 'Renamed', contextWindow: 1000, state: 'available' });
    expect((await gateway.api('PUT /models/labs/passing', { entry, revision }, labs)).status).toBe(409);
    expect(await gateway.ok('DELETE /models/labs/passing', {}, labs)).toEqual({ id: 'labs/passing' });
    expect((await chat('labs/passing', developer)).status).toBe(404);
  });

  test('a mistake in a rule is shown where it stands, and an embedder that is not there as a warning', async () => {
    const register = (more: object) =>
      gateway.api('POST /models', { namespace: 'labs', name: 'slip', entry: { ...fast(), aliases: [], ...more } }, labs);
    const refused = await register({ routing: { rules: [{ when: 'calller.consumer == "x"', targets: ['primary'] }] } });
    expect([refused.status, refused.body.error.data.findings]).toEqual([
      400,
      [
        {
          severity: 'error',
          path: '/routing/rules/0/when',
          message: 'Unknown variable: calller (rule line 1, column 1). Did you mean "caller"?',
        },
      ],
    ]);
    const cache = (model: string) => ({ cache: { ttlMs: 1000, semantic: { model, threshold: 0.9 } } });
    const warned = await register(cache('labs/fst'));
    expect([warned.status, warned.body.findings]).toEqual([
      200,
      [{ severity: 'warning', path: '/cache/semantic/model', message: expect.stringContaining('Did you mean "labs/fast"?') }],
    ]);
    const update = (more: object) =>
      gateway.ok('PUT /models/labs/slip', { entry: { ...fast(), aliases: [], ...more } }, platform);
    expect((await update(cache('labs/fast'))).findings).toMatchObject([{ message: expect.stringContaining('"embeddings"') }]);
    expect((await update(cache('filed/local'))).findings).toEqual([]);
    await gateway.ok('DELETE /models/labs/slip', {}, labs);
  });

  test('with review rules that want a second person, nobody registers or rebuilds a model alone; how calls are spread they may', async () => {
    await gateway.ok('PUT /review-rules', { rules: { directRegistration: false } }, platform);
    const alone = await gateway.api('POST /models', { namespace: 'labs', name: 'alone', entry: { targets: [primary()] } }, labs);
    const rebuilt = await gateway.api('PUT /models/labs/fast', { entry: { targets: [fallback()] } }, labs);
    const widened = await gateway.api('PATCH /models/labs/fast/routing', { regions: ['us'] }, labs);
    expect([alone.status, rebuilt.status, widened.status]).toEqual([403, 403, 403]);
    expect((await gateway.ok('PATCH /models/labs/fast/routing', { attempts: 2 }, labs)).routing.attempts).toBe(2);
    await gateway.ok('PUT /review-rules', { rules: {} }, platform);
  });
});

describe('US-M-D1: Discover Available Models', () => {
  test('the catalog shows the models that a developer has access to, and no others', async () => {
    const mine = await gateway.ok('GET /models', undefined, developer);
    expect([ids(mine), mine.total]).toEqual([['labs/fast'], 1]);
    expect(ids(await gateway.ok('GET /models', undefined, platform))).toEqual(['filed/local', 'labs/fast']);
    expect((await gateway.api('GET /models/filed/local', undefined, developer)).status).toBe(404);
  });

  test('each shows name, provider, capabilities, limits that apply to the caller, price tier and how it fared', async () => {
    await gateway.ok('PUT /policies/capability:labs%2Ffast', { policy: { limits: [{ per: 'member', rpm: 90, tpm: 50_000 }] } });
    await (await chat('labs/fast', developer)).text();
    const { models } = await gateway.ok('GET /models', undefined, developer);
    expect(models[0]).toMatchObject({
      ...{ id: 'labs/fast', title: 'Fast and cheap', providers: ['openai', 'anthropic'], can: ['text', 'tools'] },
      ...{ contextWindow: 400_000, maxOutputTokens: 128_000, mayCall: true, state: 'available', priceTier: 'medium' },
      measured: { availability: 1, meanMs: expect.any(Number) },
      limits: [
        '90 calls a minute per member (set by capability labs/fast)',
        '50000 tokens a minute per member (set by capability labs/fast)',
      ],
      service: { timeoutMs: 300_000, hasFallback: true },
      prices: [
        { input: 1, output: 4, source: 'target' },
        { input: 1, output: 5, source: 'target' },
      ],
    });
    expect(models[0].calls).toBeUndefined();
  });

  test.each([
    ['text=cheap drafts', ['labs/fast']],
    ['text=gpt-5', ['labs/fast']],
    ['text=expensive', []],
    ['can=embeddings', ['filed/local']],
    ['can=text,tools', ['labs/fast']],
    ['can=text,images', []],
    ['provider=anthropic', ['labs/fast']],
    ['namespace=filed', ['filed/local']],
    ['state=unavailable', []],
    ['minAvailability=0.9', ['labs/fast']],
    ['priceTier=unknown', ['filed/local']],
  ])('it is searched and filtered: %s', async (query, expected) => {
    expect(ids(await gateway.ok(`GET /models?${query}`, undefined, platform))).toEqual(expected);
  });

  test('the page of one model has its names, snippets for both clients, and targets for those who look after it', async () => {
    const seen = await gateway.ok('GET /models/labs/fast', undefined, developer);
    expect(seen).toMatchObject({
      aliases: ['gpt-5-mini'],
      toolboxes: [],
      routing: { mode: 'priority', attempts: 2 },
      baseUrls: { openai: `${gateway.url}/v1`, anthropic: gateway.url },
      snippets: {
        curl: expect.stringContaining('/v1/chat/completions'),
        openaiPython: expect.stringContaining('from openai import OpenAI'),
        openaiTypescript: expect.stringContaining('labs/fast'),
        anthropicPython: expect.stringContaining('from anthropic import Anthropic'),
        anthropicTypescript: expect.stringContaining('@anthropic-ai/sdk'),
      },
    });
    expect([seen.targets, seen.entry, seen.routing.rules]).toEqual([undefined, undefined, undefined]);
    const audited = await gateway.ok('GET /models/labs/fast', undefined, auditor);
    expect(audited).toMatchObject({ mayCall: false, calls: expect.any(Number), targets: [{ name: 'primary', state: 'in' }, {}] });
    expect([audited.entry, JSON.stringify(audited).includes(openai.url)]).toEqual([undefined, false]);
    const administered = await gateway.ok('GET /models/labs/fast', undefined, labs);
    expect(administered.entry.targets[0].key).toBe(`\${secret:LABS__OPENAI}`);
    expect(JSON.stringify(administered)).not.toContain(providerKey);
  });

  test('the same is a tool of /mcp/admin, and clients read the models with what they can use at /v1/models', async () => {
    const { body } = await gateway.mcp('admin', 'tools/call', {
      name: 'get_model',
      arguments: { namespace: 'labs', name: 'fast' },
    });
    expect(body.result.structuredContent).toMatchObject({ id: 'labs/fast' });
    const list = async (headers: Record<string, string>) =>
      (await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${developer}`, ...headers } })).json();
    const more = { context_window: 400_000, max_output_tokens: 128_000, abilities: ['text', 'tools'], aliases: ['gpt-5-mini'] };
    expect(await list({})).toMatchObject({
      object: 'list',
      data: [{ id: 'labs/fast', object: 'model', display_name: 'Fast and cheap', ...more }],
    });
    expect(await list({ 'anthropic-version': '2023-06-01' })).toMatchObject({
      data: [{ type: 'model', id: 'labs/fast', max_input_tokens: 400_000, max_tokens: 128_000, ...more }],
    });
  });
});

describe('US-M-A3: Configure High Availability', () => {
  test('an admin sets mode, weights, stickiness, rules and the numbers of failover, and what is not named stays', async () => {
    const set = (body: object) => gateway.ok('PATCH /models/labs/fast/routing', body, labs);
    await set({ mode: 'weighted', weights: { primary: 3 }, sticky: 'consumer', failover: { consecutiveErrors: 2 } });
    const rules = [{ when: 'caller.consumer == "billing"', targets: ['primary'] }];
    const model = await set({ rules, failover: { latencyMs: 9000 }, regions: ['eu', 'us'] });
    expect(model.routing).toMatchObject({ mode: 'weighted', sticky: 'consumer', rules, regions: ['eu', 'us'] });
    expect(model.routing.failover).toMatchObject({ consecutiveErrors: 2, latencyMs: 9000, errorRate: 0.5 });
    expect(model.targets.map(({ weight }: { weight: number }) => weight)).toEqual([3, 1]);
    const back = await set({ mode: 'priority', sticky: null, rules: null, regions: null, failover: null });
    expect(back.routing).toMatchObject({ mode: 'priority', rules: [], failover: { consecutiveErrors: 3 } });
    expect([back.routing.sticky, back.routing.regions]).toEqual([undefined, undefined]);
  });

  test.each([
    [{ weights: { nowhere: 1 } }, 'its targets are primary, fallback'],
    [{ regions: ['mars'] }, 'No target is in any of these regions'],
    [{ rules: [{ when: 'caller.', targets: ['primary'] }] }, 'error at /routing/rules/0/when: '],
    [{ rules: [{ when: 'caller.consumr == "x"', targets: ['primary'] }] }, 'Did you mean "consumer"?'],
    [{ rules: [{ when: 'true', targets: ['primry'] }] }, 'Did you mean "primary"?'],
    [{ rules: [{ when: 'true', targets: ['nowhere'] }] }, 'There is no target "nowhere"'],
    [{ sticky: 'consumer' }, 'With mode priority'],
  ])('what cannot be is refused, and nothing changes: %j', async (body, message) => {
    const { revision } = await gateway.ok('GET /models/labs/fast', undefined, labs);
    const refused = await gateway.api('PATCH /models/labs/fast/routing', body, labs);
    expect([refused.status, messageOf(refused)]).toEqual([400, expect.stringContaining(message)]);
    expect((await gateway.ok('GET /models/labs/fast', undefined, labs)).revision).toBe(revision);
  });

  test('a rule that looks at what many calls do not have is taken, and said to leave those nowhere to go', async () => {
    const warningsFor = async (when: string) => {
      const { findings } = await gateway.ok('PATCH /models/labs/fast/routing', { rules: [{ when, targets: ['primary'] }] }, labs);
      return findings;
    };
    expect(await warningsFor('args.metadta.region == "eu"')).toEqual([
      {
        severity: 'warning',
        path: '/routing/rules/0/when',
        message: expect.stringMatching(
          /^Calls without "metadta" go nowhere.*has\(args\.metadta\) && \.\.\..*Did you mean "metadata"\?$/,
        ),
      },
    ]);
    expect(await warningsFor('has(args.metadata) && args.metadata.region == "eu" || args.model == "x"')).toEqual([]);
    expect((await gateway.ok('PATCH /models/labs/fast/routing', { rules: null }, labs)).findings).toEqual([]);
  });

  test('a model that is not there is told from its name, to those who administer its namespace', async () => {
    const mistyped = await gateway.api('PATCH /models/labs/fst/routing', { attempts: 1 }, labs);
    expect([mistyped.status, messageOf(mistyped)]).toEqual([
      404,
      'There is no model "labs/fst". List them with list_models. Did you mean "labs/fast"?',
    ]);
    expect(messageOf(await gateway.api('PATCH /models/labs/fst/routing', { attempts: 1 }, developer))).not.toContain('labs/fast');
  });

  test('a call goes on to the fallback by itself, and the failover is on record, for those who look after the model', async () => {
    openai.next(fails(503), fails(503), fails(503));
    anthropic.next(says('From the fallback.', { usage }));
    const answer = await chat('labs/fast', developer);
    expect([answer.status, (await bodyOf(answer)).choices[0].message.content]).toEqual([200, 'From the fallback.']);
    const events = await gateway.ok('GET /failovers?model=labs/fast', undefined, auditor);
    expect(events.events.map(({ kind }: { kind: string }) => kind)).toEqual(expect.arrayContaining(['failover', 'ejected']));
    const only = await gateway.ok('GET /failovers?kind=failover&target=fallback', undefined, labs);
    expect(only.events[0]).toMatchObject({ model: 'labs/fast', from: 'primary', to: 'fallback', reason: expect.any(String) });
    const elsewhere = await gateway.person('other-auditor', [{ role: 'auditor', namespace: 'filed' }]);
    expect((await gateway.ok('GET /failovers', undefined, elsewhere)).events).toEqual([]);
    expect((await gateway.api('GET /failovers', undefined, developer)).status).toBe(403);
    const model = await gateway.ok('GET /models/labs/fast', undefined, auditor);
    expect(model).toMatchObject({
      state: 'limited',
      targets: [{ name: 'primary', state: 'out', reason: expect.any(String) }, {}],
    });
    expect(ids(await gateway.ok('GET /models?state=limited', undefined, developer))).toEqual(['labs/fast']);
    expect(gateway.log.some((line) => line.includes('the targets of a model changed') && line.includes('labs/fast'))).toBe(true);
  });
});

describe('US-M-A7: View Model Analytics', () => {
  test('calls, tokens, latency, cost and errors by model, version, target, consumer and key', async () => {
    await gateway.ok('POST /consumers', { id: 'billing', title: 'Billing', kind: 'team' }, platform);
    const key = (await gateway.ok('POST /keys', { id: 'bill', title: 'x', consumer: 'billing' }, platform)).secret;
    anthropic.always(says('Ok.', { usage }));
    for (const _ of [1, 2]) await (await chat('labs/fast', key)).text();
    const of = (query: string, withKey = platform) => gateway.ok(`GET /model-usage?${query}`, undefined, withKey);
    const { total, groups, endings } = await of('consumer=billing&by=model,target,key');
    expect(total).toMatchObject({ calls: 2, errors: 0, errorShare: 0, tokensIn: 2000, tokensOut: 1000, unpriced: 0 });
    expect(total.costUsd).toBeCloseTo(2 * (1000 * 1 + 500 * 5) * 1e-6, 9);
    expect(groups).toMatchObject([{ group: { model: 'labs/fast', target: 'fallback', key: 'bill' }, calls: 2 }]);
    expect([total.meanMs > 0, endings]).toEqual([true, { stop: 2 }]);
    expect((await of('by=consumer', labs)).groups).toContainEqual(
      expect.objectContaining({ group: { consumer: 'billing' }, calls: 2 }),
    );
    expect((await of('by=version&model=labs/fast', auditor)).groups.length).toBeGreaterThan(0);
  });

  test('a developer sees the own keys, and nothing of others', async () => {
    const mine = await gateway.ok('GET /model-usage?key=dev&by=model', undefined, developer);
    expect(mine.groups).toMatchObject([{ group: { model: 'labs/fast' } }]);
    for (const query of ['', 'key=bill', 'consumer=billing', 'model=labs/fast']) {
      const refused = await gateway.api(`GET /model-usage?${query}`, undefined, developer);
      expect([query, refused.status, messageOf(refused)]).toEqual([query, 403, expect.stringContaining('own keys')]);
    }
    const elsewhere = await gateway.person('filed-admin', [{ role: 'admin', namespace: 'filed' }]);
    expect((await gateway.ok('GET /model-usage', undefined, elsewhere)).total.calls).toBe(0);
    expect((await gateway.api('GET /model-usage?model=labs/fast', undefined, elsewhere)).status).toBe(403);
  });
});

describe('on the command line', () => {
  const run = async (name: string, ...words: readonly string[]) => {
    const command = findAction(name);
    if (command === undefined) throw new Error(`there is no command ${name}`);
    let [out, err] = ['', ''];
    const code = await runAction(command, [...words, '--url', gateway.url], {
      environment: { GATEHOUSE_KEY: labs },
      directory: '.',
      write: (text) => {
        out += text;
      },
      complain: (text) => {
        err += text;
      },
      columns: 160,
    });
    return { code, out, err };
  };

  test('models, their failovers and their registration are commands, and lists are tables', async () => {
    const list = await run('list-models', '--can', 'tools');
    expect([list.code, list.err]).toEqual([0, '']);
    expect(list.out).toMatch(/^id +title +state +priceTier +contextWindow .*\nlabs\/fast +Fast and cheap +\w+ +medium +400000 /);
    expect((await run('get-failover-events', '--kind', 'failover')).out).toMatch(/^at +model +kind +from +to +reason\n/);
    const entry = JSON.stringify({ targets: [{ provider: 'openai-compatible', model: 'm', url: `${openai.url}/v1` }] });
    expect(await run('register-model', 'labs', 'spare', '--entry', entry)).toMatchObject({ code: 0, err: '' });
    expect((await run('set-model-routing', 'labs', 'spare', '--attempts', '1')).out).toContain('attempts: 1');
    expect((await run('get-model', 'labs', 'spare')).out).toContain('from openai import OpenAI');
    expect(await run('retire-model', 'labs', 'spare')).toMatchObject({ code: 0, out: 'id: labs/spare\n' });
    expect((await run('retire-model', 'labs', 'spare')).code).toBe(1);
  });
});

describe('US-M-A1: Configure Model Quotas', () => {
  test('rates, tokens and money of a model, of a consumer and of both together are live; 429 says when to come back', async () => {
    const limits = [
      { per: 'capability', rpm: 1000, tpm: 1_000_000, budget: { amount: 5, window: 'day', unit: 'usd' } },
      { per: 'consumer', rpm: 2 },
    ];
    await gateway.ok('PUT /policies/capability:labs%2Ffast', { policy: { limits } }, platform);
    await gateway.ok('PATCH /consumers/billing', { limits: [{ per: 'consumer', match: 'labs/*', tpm: 900_000 }] }, platform);
    const key = (await gateway.ok('POST /keys', { id: 'bill-2', title: 'x', consumer: 'billing' }, platform)).secret;
    for (const _ of [1, 2]) expect((await chat('labs/fast', key)).status).toBe(200);
    const refused = await chat('labs/fast', key);
    expect([refused.status, Number(refused.headers.get('retry-after')) > 0]).toEqual([429, true]);
    expect((await bodyOf(refused)).error.message).toContain('2 calls a minute');
    const { limits: live } = await gateway.ok('GET /usage?capability=labs/fast&consumer=billing', undefined, platform);
    const used = Object.fromEntries(live.map(({ limit, used: count }: { limit: string; used: number }) => [limit, count]));
    expect(used).toMatchObject({
      '1000 calls a minute per capability (set by capability labs/fast)': 2,
      '1000000 tokens a minute per capability (set by capability labs/fast)': 3000,
      '5 US dollars a day per capability (set by capability labs/fast)': 2 * (1000 * 1 + 500 * 5) * 1000,
      '2 calls a minute per consumer (set by capability labs/fast)': 2,
      '900000 tokens a minute per consumer (set by consumer billing)': 3000,
    });
    await gateway.ok('PUT /policies/capability:labs%2Ffast', { policy: null }, platform);
    expect((await chat('labs/fast', key)).status).toBe(200);
  });
});
