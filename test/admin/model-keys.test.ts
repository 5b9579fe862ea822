import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { fails, says } from '../support/model-providers/script.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

// Keys for models: what they open, what they do not, and that nobody gets more by asking for one.

const providerKey = 'sk-provider-credential-0123456789';
let provider: StandIn;
let upstream: StagedUpstream;
let gateway: AdminGateway;

beforeAll(async () => {
  [provider, upstream] = await Promise.all([startOpenai({ key: providerKey }), startStagedUpstream({ tools: ['echo'] })]);
  const model = `kind: model, targets: [{ provider: openai, model: m, key: "\${secret:KEY}", url: "${provider.url}/v1" }]`;
  gateway = await openAdminGateway({
    namespaces: {
      labs: `namespace: labs
upstreams:
  fast: { ${model} }
  fancy: { ${model} }
  deep: { ${model} }
  desk: { kind: mcp, url: "${upstream.url}" }
toolboxes:
  chat: { include: ["labs/*"] }
`,
      ops: `namespace: ops\nupstreams:\n  big: { ${model} }\n`,
    },
    settings: { KEY: providerKey },
  });
  await gateway.ok('POST /consumers', { id: 'team', title: 'Team', kind: 'team' });
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([provider?.close(), upstream?.close()]);
});

const modelsOf = async (key: string): Promise<string[]> => {
  const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  const { data = [] } = (await response.json()) as { data?: { id: string }[] };
  return data.map(({ id }) => id);
};
const statusOf = async (model: string, key: string) => {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await response.text();
  return response.status;
};
const toolsOf = async (toolbox: string, key: string): Promise<string[]> => {
  const { body } = await gateway.mcp(toolbox, 'tools/list', {}, key);
  return (body.result?.tools ?? []).map(({ name }: { name: string }) => name).sort();
};
const keyFor = async (scope: object, more: object = { consumer: 'team' }) =>
  (await gateway.ok('POST /keys', { title: 'x', ...more, scope })).secret as string;
const all = ['labs/deep', 'labs/fancy', 'labs/fast', 'ops/big'];

describe('US-M-A2: what a key for models opens', () => {
  test('the models that it names or their group, at /v1 and as tools, and nothing else', async () => {
    const one = await keyFor({ models: ['labs/fast'] });
    const group = await keyFor({ models: ['labs/fa*'] });
    expect([await modelsOf(one), (await modelsOf(group)).sort()]).toEqual([['labs/fast'], ['labs/fancy', 'labs/fast']]);
    expect([await statusOf('labs/fast', one), await statusOf('labs/fancy', one), await statusOf('labs/fancy', group)]).toEqual([
      200, 404, 200,
    ]);
    expect(await toolsOf('', one)).toEqual(['labs__fast']);
    const { body } = await gateway.mcp('', 'tools/call', { name: 'labs__echo', arguments: {} }, one);
    expect(body.error).toBeDefined();
  });

  test('a key without a scope opens all; an empty list of models opens none', async () => {
    expect((await modelsOf(await keyFor({}))).sort()).toEqual(all);
    expect(await modelsOf(await keyFor({ models: [] }))).toEqual([]);
    expect(await statusOf('labs/fast', await keyFor({ models: [] }))).toBe(404);
  });

  test('a key for a toolbox does not open /v1, unless it names models too', async () => {
    const box = await keyFor({ toolboxes: ['chat'] });
    const both = await keyFor({ toolboxes: ['chat'], models: ['labs/fast'] });
    expect([await modelsOf(box), await statusOf('labs/fast', box)]).toEqual([[], 404]);
    expect(await modelsOf(both)).toEqual(['labs/fast']);
    expect([await toolsOf('chat', box), await toolsOf('chat', both)]).toEqual([
      ['labs__deep', 'labs__echo', 'labs__fancy', 'labs__fast'],
      ['labs__echo', 'labs__fast'],
    ]);
  });

  test('namespaces and capabilities hold models as they hold tools', async () => {
    expect((await modelsOf(await keyFor({ namespaces: ['ops'] }))).sort()).toEqual(['ops/big']);
    expect((await modelsOf(await keyFor({ capabilities: ['labs/f*'] }))).sort()).toEqual(['labs/fancy', 'labs/fast']);
    expect(await modelsOf(await keyFor({ namespaces: ['ops'], models: ['labs/*'] }))).toEqual([]);
  });
});

describe('US-M-A2: virtual keys over the credentials of providers', () => {
  test('a rotation under load fails no call within the grace, and none gets through with the old secret after it', async () => {
    const first = (await gateway.ok('POST /keys', { id: 'loaded', title: 'x', consumer: 'team' })).secret;
    const secrets = [first];
    const results: Promise<number>[] = [];
    for (let n = 0; n < 60; n++) {
      // The old and the new one in turn, as applications that were not restarted at once use them.
      results.push(statusOf('labs/fast', secrets[n % secrets.length] ?? first));
      if (n === 20) secrets.push((await gateway.ok('POST /keys/loaded/rotate', { graceS: 600 })).secret);
    }
    expect([...new Set(await Promise.all(results))]).toEqual([200]);
    const third = (await gateway.ok('POST /keys/loaded/rotate', { graceS: 0 })).secret;
    expect(await Promise.all([...secrets, third].map((secret) => statusOf('labs/fast', secret)))).toEqual([401, 401, 200]);
    await gateway.ok('POST /keys/loaded/revoke', {});
    expect(await statusOf('labs/fast', third)).toBe(401);
  });

  test("a provider's credential is in no answer, no error and no log, also where the provider repeats it", async () => {
    const key = await keyFor({ models: ['labs/fast'] });
    const ask = async () => {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'labs/fast', messages: [{ role: 'user', content: 'Hello' }] }),
      });
      return `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
    };
    provider.next(says('Hi.', { echoes: true }), fails(400, { echoes: true }));
    const [answer, refusal] = [await ask(), await ask()];
    expect([answer.slice(0, 3), refusal.slice(0, 3)]).toEqual(['200', '400']);
    expect(provider.journal.at(-1)?.headers.authorization).toBe(`Bearer ${providerKey}`);
    const model = await gateway.ok('GET /models/labs/fast');
    for (const text of [answer, refusal, JSON.stringify(model), ...gateway.log]) expect(text).not.toContain(providerKey);
  });

  test('AZ-02: a key for toolboxes hears the same of every model, whether there is one or not', async () => {
    const boxed = await keyFor({ toolboxes: ['chat'] });
    const modelled = await keyFor({ models: ['labs/fast'] });
    const ask = async (key: string, model: unknown) => {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
      });
      return `${response.status} ${await response.text()}`;
    };
    const heard = new Set<string>();
    for (const model of ['labs/fast', 'labs/deep', 'labs/nothing', 'nothing', 7]) heard.add(await ask(boxed, model));
    expect([...heard]).toEqual([expect.stringMatching(/^404 .*no models here for you/)]);
    expect((await ask(modelled, 'labs/deep')).replace('deep', 'nothing')).toBe(await ask(modelled, 'labs/nothing'));
    provider.next(says('Hi.'));
    expect(await ask(modelled, 'labs/fast')).toMatch(/^200 /);
  });

  test('what would come of a call at /v1 is explained, key by key', async () => {
    await gateway.ok('POST /keys', { id: 'boxed', title: 'x', consumer: 'team', scope: { toolboxes: ['chat'] } });
    await gateway.ok('POST /keys', { id: 'modelled', title: 'x', consumer: 'team', scope: { models: ['labs/fast'] } });
    const explain = async (key: string, capability: string) =>
      (await gateway.ok('POST /explain', { caller: `key:${key}`, capability, method: 'models/call' })).decision;
    expect([await explain('boxed', 'labs/fast'), await explain('modelled', 'labs/deep')]).toEqual(['deny', 'deny']);
    expect(await explain('modelled', 'labs/fast')).toBe('allow');
  });
});

describe('US-M-A2: a key never makes a key that does more', () => {
  const make = (key: string, scope: object | undefined, more: object = {}) =>
    gateway.api('POST /keys', { title: 'x', ...(scope === undefined ? {} : { scope }), ...more }, key);
  const requested = (key: string, body: object = {}) => gateway.api('POST /keys/request', { title: 'x', ...body }, key);

  /** A member with roles everywhere, with a key that is as narrow as `scope`, and may use administration. */
  let turn = 0;
  const narrow = async (scope: object) => {
    const id = `narrow-${turn++}`;
    await gateway.ok('POST /members', { id, title: id, roles: [{ role: 'developer' }] });
    return await keyFor(scope, { member: id });
  };

  const administering = { capabilities: ['admin/*'], namespaces: ['labs', 'ops', 'admin'] };

  test.each([
    ['other models', { models: ['labs/fast'] }, { models: ['labs/fancy'] }],
    ['more models', { models: ['labs/fast'] }, { models: ['labs/fast', 'labs/deep'] }],
    ['a wider glob', { models: ['labs/fa*'] }, { models: ['labs/f*'] }],
    ['a glob over namespaces', { models: ['labs/*'] }, { models: ['l*/fast', 'o*/*'] }],
    ['tools', { models: ['labs/fast'] }, { capabilities: ['labs/echo'] }],
    ['models from a toolbox', { toolboxes: ['chat', 'admin'] }, { toolboxes: ['chat'], models: ['labs/fast'] }],
  ])('not %s', async (_what, own, wanted) => {
    const key = await narrow('models' in own ? { ...administering, ...own } : own);
    expect((await make(key, wanted)).status).toBe(403);
    if ('models' in wanted && !('toolboxes' in wanted)) expect((await requested(key, wanted)).status).toBe(403);
  });

  test('what is left out is as narrow as the key that asks', async () => {
    const key = await narrow({ ...administering, models: ['labs/fast'] });
    const box = (await make(key, { toolboxes: ['chat'] })).body.secret;
    expect([await toolsOf('chat', box), await modelsOf(box)]).toEqual([['labs__fast'], ['labs/fast']]);
    const elsewhere = await narrow({ namespaces: ['labs', 'admin'] });
    expect(await modelsOf((await make(elsewhere, { models: ['ops/big'] })).body.secret)).toEqual([]);
  });

  test('but one that does as much or less', async () => {
    const key = await narrow({ capabilities: ['admin/*'], models: ['labs/fa*'] });
    for (const models of [['labs/fa*'], ['labs/fast'], ['labs/fan*', 'labs/fast']]) {
      const made = await make(key, { models });
      expect([models, made.status]).toEqual([models, 200]);
      expect((await modelsOf(made.body.secret)).every((id) => id.startsWith('labs/fa'))).toBe(true);
    }
    const unsaid = await make(key, undefined);
    expect([unsaid.status, (await modelsOf(unsaid.body.secret)).sort()]).toEqual([200, ['labs/fancy', 'labs/fast']]);
  });

  test('what its owner loses, it loses', async () => {
    const id = 'leaver';
    const key = await gateway.person(id, [{ role: 'developer' }]);
    const made = (await requested(key)).body.secret;
    expect((await modelsOf(made)).sort()).toEqual(all);
    await gateway.ok(`PATCH /members/${id}`, { roles: [{ role: 'developer', namespace: 'ops' }] });
    expect(await modelsOf(made)).toEqual(['ops/big']);
  });
});

describe('US-M-D2: Get API Credentials', () => {
  test('a developer asks for a key and gets it, for the models that they may use, with code to start from', async () => {
    const developer = await gateway.person('dora', [{ role: 'developer', namespace: 'labs' }]);
    const got = await gateway.ok('POST /keys/request', { title: 'My notebook' }, developer);
    expect(got).toMatchObject({
      key: { title: 'My notebook', member: 'dora', state: 'active', scope: { models: ['labs/fast', 'labs/fancy', 'labs/deep'] } },
      baseUrl: `${gateway.url}/v1`,
      models: ['labs/fast', 'labs/fancy', 'labs/deep'],
      mcpUrls: [],
      snippets: { curl: expect.any(String), openaiPython: expect.any(String), anthropicTypescript: expect.any(String) },
    });
    expect(got.key.expiresAtMs - got.key.createdAtMs).toBe(90 * 86_400_000);
    expect([await statusOf('labs/fast', got.secret), await statusOf('ops/big', got.secret)]).toEqual([200, 404]);
    expect(JSON.stringify(got.snippets)).not.toContain(got.secret);
  });

  test('its use is shown to the developer: when, how much, and what it cost', async () => {
    const developer = await gateway.person('dana', [{ role: 'developer', namespace: 'labs' }]);
    const { key, secret } = await gateway.ok('POST /keys/request', { title: 'x', models: ['labs/fast'] }, developer);
    expect(await statusOf('labs/fast', secret)).toBe(200);
    const usage = await gateway.ok(`GET /model-usage?key=${key.id}&by=model`, undefined, developer);
    expect(usage.groups).toMatchObject([{ group: { model: 'labs/fast' }, calls: 1, tokensIn: expect.any(Number) }]);
    expect((await gateway.ok(`GET /usage?key=${key.id}`, undefined, developer)).total.calls).toBe(1);
    const { keys } = await gateway.ok('GET /keys', undefined, developer);
    expect(keys.map(({ id }: { id: string }) => id)).toContain(key.id);
  });

  test.each([
    ['models of another namespace', { models: ['ops/big'] }, 403],
    ['all models', { models: ['*/*'] }, 403],
    ['a key for a team', { consumer: 'team' }, 403],
    ['a life of more than a year', { expiresInS: 366 * 86_400 }, 400],
  ])('but not %s', async (_what, body, status) => {
    const developer = await gateway.person(`d${Math.random().toString(36).slice(2, 10)}`, [
      { role: 'developer', namespace: 'labs' },
    ]);
    expect((await gateway.api('POST /keys/request', { title: 'x', ...body }, developer)).status).toBe(status);
  });

  test('whoever may use no model is told so, and gets no key', async () => {
    const bystander = await gateway.person('bystander', [{ role: 'developer', namespace: 'nowhere' }]);
    const refused = await gateway.api('POST /keys/request', { title: 'x' }, bystander);
    expect([refused.status, refused.body.error?.message]).toEqual([409, expect.stringContaining('no model that you may use')]);
  });

  test('with a gate on admin/request_key, a person has to agree first; the same request gives the key then, once', async () => {
    await gateway.ok('PUT /policies/capability:admin%2Frequest_key', {
      policy: { gates: [{ reason: 'Keys for models are given by the platform team.' }] },
    });
    const developer = await gateway.person('gated', [{ role: 'developer', namespace: 'labs' }]);
    const approver = await gateway.person('boss', [{ role: 'approver' }]);
    const wanted = { title: 'x', justification: 'For the spring project.', models: ['labs/fast'] };
    const before = (await gateway.ok('GET /keys', undefined, developer)).keys.length;
    const asked = await gateway.api('POST /keys/request', wanted, developer);
    expect([asked.status, asked.body.error?.code]).not.toEqual([200, undefined]);
    expect(asked.body.error).toMatchObject({ code: 'approval_pending' });
    expect((await gateway.ok('GET /keys', undefined, developer)).keys).toHaveLength(before);
    const { approvals } = await gateway.ok('GET /approvals', undefined, approver);
    const { id } = approvals[0];
    const shown = await gateway.ok(`GET /approvals/${id}`, undefined, approver);
    expect(shown.arguments).toContain('For the spring project.');
    await gateway.ok(`POST /approvals/${id}/decision`, { decision: 'approve' }, approver);
    expect((await gateway.api('POST /keys/request', { ...wanted, models: ['labs/deep'] }, developer)).body.error?.code).toBe(
      'approval_pending',
    );
    const got = await gateway.ok('POST /keys/request', wanted, developer);
    expect([got.models, await statusOf('labs/fast', got.secret)]).toEqual([['labs/fast'], 200]);
    const again = await gateway.api('POST /keys/request', wanted, developer);
    expect(again.body.error?.code).toBe('approval_pending');
    const after = JSON.stringify(await gateway.ok(`GET /approvals/${id}`, undefined, approver));
    expect(after).not.toContain(got.secret);
    await gateway.ok('PUT /policies/capability:admin%2Frequest_key', { policy: null });
  });
});
