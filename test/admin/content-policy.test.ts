import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;
let key: string;
beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo'] });
  gateway = await openAdminGateway({ namespaces: { hr: namespaceFor('hr', upstream.url) } });
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  key = (await gateway.ok('POST /keys', { title: 'x', consumer: 'app' })).secret;
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const route = (scope: string) => `PUT /content-policies/${encodeURIComponent(scope)}`;
const set = (scope: string, input: object, as?: string) => gateway.api(route(scope), input, as);
const call = async (text: string) => {
  const { body } = await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: { text } }, key);
  return body.error?.message ?? (body.result.isError === true ? body.result.content[0].text : 'done');
};

describe('set_content_policy', () => {
  test('turns categories on and off per direction, from the call after it; the refusal names the rule and none of the text', async () => {
    const threat = 'I will kill you if you come back';
    expect(await call(threat)).toBe('done');
    const on = await set('capability:hr/echo', {
      categories: { violence: { in: 'block', out: 'flag' }, secrets: { in: 'redact' } },
    });
    expect(on.body).toMatchObject({
      scope: 'capability:hr/echo',
      categories: {
        violence: { in: 'block', out: 'flag' },
        secrets: { in: 'redact', out: 'off' },
        hate: { in: 'off', out: 'off' },
      },
    });
    const refused = await call(threat);
    expect(refused).toContain('violence/threat');
    expect(refused).not.toContain('kill you');
    expect(await call('I will call you')).toBe('done');
    await until('the audit says which rule it was', async () =>
      JSON.stringify(await gateway.ok('GET /audit?capability=hr/echo')).includes('violence/threat'),
    );
    const off = await set('capability:hr/echo', { categories: { violence: { in: 'off', out: 'off' }, secrets: { in: 'off' } } });
    expect(off.body).toMatchObject({ content: [], revision: null });
    expect(await call(threat)).toBe('done');
  });

  test('leaves the rest of the policy, lines for single capabilities and other categories as they are', async () => {
    const matched = { match: ['hr/pay'], rules: ['violence'], do: 'flag' };
    const policy = { timeoutMs: 9000, content: [matched, { rules: ['secrets', 'violence'], do: 'redact' }] };
    await gateway.ok('PUT /policies/namespace:hr', { policy });
    await set('namespace:hr', { categories: { violence: { out: 'block' } } });
    expect((await gateway.ok('GET /policies/namespace:hr')).policy).toEqual({
      timeoutMs: 9000,
      content: [
        { direction: 'both', rules: ['secrets'], do: 'redact' },
        { direction: 'in', rules: ['violence'], do: 'redact' },
        { direction: 'out', rules: ['violence'], do: 'block' },
        matched,
      ],
    });
    await gateway.ok('PUT /policies/namespace:hr', { policy: null });
  });

  test('names a judge, and takes it away', async () => {
    const ask = {
      url: 'https://moderation.example/v1/moderations',
      key: `\${secret:HR__MODERATION}`,
      onFailure: 'open',
      deadlineMs: 50,
    };
    const named = await set('namespace:hr', { judge: { in: 'block', ask } });
    expect(named.body.content).toEqual([{ direction: 'in', judge: ask, do: 'block' }]);
    expect((await set('namespace:hr', { judge: null })).body.content).toEqual([]);
  });

  test.each([
    [{ categories: { violins: { in: 'block' } } }],
    [{ categories: { violence: { in: 'delete' } } }],
    [{ judge: { in: 'redact', ask: { model: 'models/guard' } } }],
    [{ judge: { in: 'block', ask: {} } }],
  ])('%j is refused, and changes nothing', async (input) => {
    expect((await set('global', input)).status).toBe(400);
    expect((await gateway.ok('GET /policies/global')).policy).toBeNull();
  });

  test('whoever administers one namespace has no model of another judge, and one of their own', async () => {
    const lead = await gateway.person('judge-lead', [{ role: 'admin', namespace: 'hr' }]);
    const judge = (model: string) => ({ judge: { in: 'flag', ask: { model } } });
    for (const model of ['models/guard', 'models__guard', 'guard', '/guard'])
      expect((await set('namespace:hr', judge(model), lead)).status).toBe(400);
    expect((await set('namespace:hr', judge('hr/guard'), lead)).status).toBe(200);
    expect((await set('namespace:hr', judge('models/guard'))).status).toBe(200);
    await set('namespace:hr', { judge: null });
  });

  test("SK-06: nobody sends the gateway's own secrets to a judge", async () => {
    const judge = (name: string) => ({
      judge: { in: 'flag', ask: { url: 'https://judge.example/', key: `\${secret:${name}}` } },
    });
    for (const name of ['GATEHOUSE_MASTER_KEY', 'gatehouse_admin_key']) {
      const { status, body } = await set('global', judge(name));
      expect([status, body.error.message]).toEqual([400, expect.stringContaining('never leave it')]);
    }
    expect((await set('global', judge('JUDGE_KEY'))).status).toBe(200);
    await set('global', { judge: null });
  });

  test('whoever administers one namespace sends no other secret to a judge', async () => {
    await gateway.ok('POST /members', { id: 'hr-admin', title: 'x', roles: [{ role: 'admin', namespace: 'hr' }] });
    const { secret } = await gateway.ok('POST /keys', { title: 'x', member: 'hr-admin' });
    const judge = (name: string) => ({ judge: { in: 'flag', ask: { url: 'https://evil.example/', key: `\${secret:${name}}` } } });
    const { status, body } = await set('namespace:hr', judge('OPENAI_API_KEY'), secret);
    expect({ status, message: body.error.message }).toEqual({ status: 400, message: expect.stringContaining('OPENAI_API_KEY') });
    expect((await set('namespace:hr', judge('HR__MODERATION'), secret)).status).toBe(200);
    expect((await set('global', { categories: { hate: { in: 'flag' } } }, secret)).status).toBe(403);
    await set('namespace:hr', { judge: null });
  });
});
