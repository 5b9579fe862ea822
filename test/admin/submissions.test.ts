import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { type ChangingUpstream, type Listed, startChangingUpstream } from '../support/changing-upstream.ts';
import { until } from '../support/until.ts';

const find: Listed = {
  name: 'find_person',
  description: 'Finds a person by name.',
  inputSchema: { type: 'object', properties: { name: { type: 'string' }, email: { type: 'string' } } },
  annotations: { readOnlyHint: true },
};

let upstream: ChangingUpstream;
let gateway: AdminGateway;
const keys: Record<string, string> = {};
let turn = 0;

beforeAll(async () => {
  upstream = await startChangingUpstream([find]);
  gateway = await openAdminGateway({ settings: { HR__TOKEN: 'a-secret-of-hr' } });
  await gateway.ok('POST /namespaces', { namespace: 'hr' });
  await gateway.ok('POST /namespaces', { namespace: 'finance' });
  for (const [id, role, namespace] of [
    ['dora', 'developer', 'hr'],
    ['dan', 'developer', 'finance'],
    ['ann', 'approver', 'hr'],
    ['abe', 'approver', 'hr'],
    ['fay', 'approver', 'finance'],
    ['ada', 'admin', 'hr'],
  ] as const)
    keys[id] = await gateway.person(id, [{ role, namespace }]);
  const more = await gateway.ok('POST /keys', { id: 'ann2', title: 'x', member: 'ann' });
  keys.ann2 = more.secret;
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const proposal = (more: object = {}) => {
  const name = `people-${++turn}`;
  const rename = { find_person: `find_${turn}` };
  return { namespace: 'hr', name, entry: { url: upstream.url, rename }, justification: 'We need to find people.', ...more };
};
async function submit(by: string, more: object = {}) {
  const { submission } = await gateway.ok('POST /submissions', proposal(more), keys[by]);
  return submission as { id: string; revision: number; state: string; upstream: string };
}
const look = (id: string, by?: string) =>
  gateway.ok(`GET /submissions/${id}`, undefined, by === undefined ? undefined : keys[by]);
async function review(id: string, by: string, decision: string, comment = 'Because.') {
  const { body } = await gateway.api(`GET /submissions/${id}`, undefined, keys[by]);
  return gateway.api(`POST /submissions/${id}/review`, { decision, comment, revision: body.revision }, keys[by]);
}
async function isKnown(name: string): Promise<boolean> {
  const tools = (await gateway.mcp('', 'tools/list', {})).body.result.tools.map((tool: { name: string }) => tool.name);
  const called = (await gateway.mcp('', 'tools/call', { name, arguments: {} })).body;
  const { capabilities } = await gateway.ok('GET /capabilities?limit=1000');
  const found = [
    tools.includes(name),
    called.error === undefined,
    capabilities.some((one: { calledAs: string }) => one.calledAs === name),
  ];
  expect(new Set(found).size, `${name}: ${found}`).toBe(1);
  return found[0] === true;
}

describe('US-T-A3 and US-T-D4: from a submission to an approved tool', () => {
  test('AZ-03: pending is invisible to everybody, approved is there at once, and every step is on record with its reason', async () => {
    const { id, state } = await submit('dora');
    const tool = `hr__find_${turn}`;
    expect(state).toBe('submitted');
    expect(await isKnown(tool)).toBe(false);
    expect(JSON.stringify(await gateway.ok('GET /upstreams'))).not.toContain(`people-${turn}`);

    const seen = await look(id, 'ann');
    expect(seen).toMatchObject({
      ...{ state: 'submitted', submittedBy: 'dora', waitsForYou: true, isExternal: true, server: 'changing 1' },
      definitions: [
        { kind: 'tool', name: 'find_person', why: 'offered', definition: { description: 'Finds a person by name.' } },
      ],
      assessment: {
        source: { kind: 'address', authorization: 'none' },
        reach: { reads: ['find_person'], changes: [], destroys: [] },
        sees: [{ what: 'personal data', where: ['find_person.email'] }],
        size: { tools: 1 },
      },
    });
    const { status, body } = await review(id, 'ann', 'approve', 'Looked at all of it.');
    expect(body).toMatchObject({ submission: { state: 'approved' } });
    expect(status).toBe(200);
    expect(await isKnown(tool)).toBe(true);
    expect((await look(id)).history).toMatchObject([
      { event: 'drafted', by: 'key:dora' },
      { event: 'submitted', by: 'key:dora' },
      { event: 'approved', by: 'key:ann', note: 'Looked at all of it.' },
      { event: 'published', by: 'key:ann' },
    ]);
    const { changes } = await gateway.ok(`GET /audit?source=changes&limit=20`);
    const mine = changes.filter((change: { action: string }) => change.action === 'review_submission');
    // One commit: the submission, the upstream and what is approved of it.
    expect(new Set(mine.map((change: { revision: number }) => change.revision)).size).toBe(1);
    expect(mine.map((change: { kind: string }) => change.kind).sort()).toEqual(['pin', 'submission', 'upstream']);
  });

  test('a rejected one stays out, with the reason for its submitter', async () => {
    const { id } = await submit('dora');
    expect((await review(id, 'ann', 'reject', 'There is one already.')).status).toBe(200);
    expect(await isKnown(`hr__find_${turn}`)).toBe(false);
    const { notifications } = await gateway.ok('GET /notifications', undefined, keys.dora);
    expect(notifications[0]).toMatchObject({ submission: id, event: 'rejected', comment: 'There is one already.' });
    expect((await review(id, 'ann', 'approve')).status).toBe(409);
  });

  test('changes are asked for, made by the submitter, and decided on anew', async () => {
    const { id, upstream: name } = await submit('dora');
    expect((await review(id, 'ann', 'request-changes', 'Say who answers for it.')).status).toBe(200);
    expect((await review(id, 'ann', 'approve')).status).toBe(409);
    const again = { ...proposal(), name: name.slice(3), id, justification: 'We need it; the HR team answers for it.' };
    const { submission } = await gateway.ok('POST /submissions', again, keys.dora);
    expect(submission).toMatchObject({ id, state: 'submitted', justification: again.justification });
    expect((await review(id, 'abe', 'approve')).status).toBe(200);
  });

  test('a draft is for its submitter alone, until it is submitted', async () => {
    const draft = await submit('dora', { isDraft: true });
    expect(draft.state).toBe('draft');
    expect((await gateway.api(`GET /submissions/${draft.id}`, undefined, keys.ann)).status).toBe(404);
    const again = { ...proposal(), name: draft.upstream.slice(3), id: draft.id };
    expect((await gateway.ok('POST /submissions', again, keys.dora)).submission.state).toBe('submitted');
    expect((await look(draft.id, 'ann')).waitsForYou).toBe(true);
  });

  test('a comment changes nothing; a withdrawal ends it, and only its submitter may', async () => {
    const { id } = await submit('dora');
    expect((await review(id, 'dora', 'comment', 'Please.')).body.submission.state).toBe('submitted');
    expect((await review(id, 'ann', 'withdraw')).status).toBe(403);
    expect((await review(id, 'dora', 'withdraw')).body.submission.state).toBe('withdrawn');
    expect((await review(id, 'ann', 'approve')).status).toBe(409);
  });
});

describe('what is looked at', () => {
  const drop: Listed = { ...find, name: 'drop_people', annotations: { destructiveHint: true } };

  test('is what the entry takes: what it leaves out counts against nothing and is not approved', async () => {
    const { url, close } = await startChangingUpstream([find, drop]);
    onTestFinished(close);
    const rename = { find_person: 'find_some' };
    const some = await look((await submit('dora', { entry: { url, rename, exclude: ['drop_*'] } })).id, 'ann');
    expect(some.assessment).toMatchObject({ reach: { reads: ['find_person'], destroys: [] }, size: { tools: 1 } });
    expect(some.definitions.map(({ name }: { name: string }) => name)).toEqual(['find_person']);
    const all = await look((await submit('dora', { entry: { url, rename } })).id, 'ann');
    expect(all.assessment).toMatchObject({ reach: { reads: ['find_person'], destroys: ['drop_people'] }, size: { tools: 2 } });
  });

  const api = {
    ...{ openapi: '3.0.3', info: { title: 'Desk', version: '1' }, security: [{ key: [] }] },
    components: { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-Key' } } },
    paths: {
      '/notes/{path}': {
        post: {
          operationId: 'addNote',
          parameters: [
            { name: 'path', in: 'path', required: true, schema: { type: 'string' } },
            { name: 'email', in: 'query', schema: { type: 'string' } },
          ],
          requestBody: { content: { 'application/json': { schema: { type: 'object' } } } },
          responses: { 200: { description: 'ok' } },
        },
      },
    },
  };
  const ofApi = (auth: object) => ({
    ...proposal(),
    document: JSON.stringify(api),
    entry: { baseUrl: 'https://desk.example.com', auth },
  });

  test('a credential that the entry has is not said to be missing, though nothing gets it before; one that it has not is', async () => {
    const has = await gateway.ok('POST /submissions', ofApi({ key: `\${secret:HR__TOKEN}` }), keys.dora);
    expect(JSON.stringify(has.findings)).not.toContain('ask for the credentials');
    const lacks = await gateway.ok('POST /submissions', ofApi({}), keys.dora);
    expect(JSON.stringify(lacks.findings)).toContain('ask for the credentials key');
    const { assessment } = await look(has.submission.id, 'ann');
    expect(assessment.source.secrets).toEqual(['HR__TOKEN']);
    // An argument is a body since it is sent as one, whatever is in it.
    expect(assessment.sees).toEqual([
      { what: 'files', where: ['addNote.path'] },
      { what: 'personal data', where: ['addNote.email'] },
    ]);
  });

  test('an approval says what keeps it from being called, and nothing where nothing does', async () => {
    const waiting = await gateway.ok('POST /submissions', ofApi({ key: `\${secret:HR__UNSET}` }), keys.dora);
    const { body } = await review(waiting.submission.id, 'ann', 'approve');
    expect(body.warnings).toEqual([expect.stringContaining('The secret HR__UNSET is not set')]);
    const { id } = await submit('dora');
    expect((await review(id, 'ann', 'approve')).body.warnings).toBeUndefined();
  });

  test('what the setup of an upstream lacks is named to its admins and to nobody else', async () => {
    const named = async (by: string) =>
      JSON.stringify(await gateway.ok('GET /upstreams', undefined, keys[by])).includes('HR__UNSET');
    expect([await named('ada'), await named('dora')]).toEqual([true, false]);
  });
});

describe('who decides', () => {
  test('finds at /mcp where their tools are, whoever has other tools there finds those', async () => {
    const { status, body } = await gateway.mcp('', 'tools/list', {}, keys.ann);
    expect([status, body.error.message]).toEqual([404, expect.stringContaining('/mcp/admin')]);
    expect((await gateway.mcp('admin', 'tools/list', {}, keys.ann)).status).toBe(200);
    expect((await gateway.mcp('', 'tools/list', {}, keys.dora)).status).toBe(200);
  });

  test('never the submitter, whatever their role and with whatever key', async () => {
    const { id } = await submit('ann');
    expect((await review(id, 'ann', 'approve')).status).toBe(403);
    expect((await review(id, 'ann2', 'approve')).status).toBe(403);
    expect((await review(id, 'ann2', 'reject')).status).toBe(403);
    expect((await review(id, 'abe', 'approve')).status).toBe(200);
  });

  test('nobody who was handed the key it was submitted with, or changed with, and everybody else', async () => {
    keys.root = await gateway.person('root', [{ role: 'admin' }]);
    const made = async (member: string) => (await gateway.ok('POST /keys', { title: 'x', member }, keys.root)).secret;
    keys.dora2 = await made('dora');
    const { id } = await submit('dora2');
    const second = await submit('dora');
    await gateway.ok('POST /submissions', { ...proposal(), name: second.upstream.slice(3), id: second.id }, keys.dora2);
    for (const held of [id, second.id]) {
      expect((await look(held, 'root')).waitsForYou).toBe(false);
      for (const decision of ['approve', 'reject', 'request-changes'])
        expect((await review(held, 'root', decision)).status).toBe(403);
      expect((await review(held, 'root', 'withdraw')).status).toBe(403);
      expect((await review(held, 'dora', 'comment')).status).toBe(200);
      expect((await review(held, 'ann', 'approve')).body.submission).toMatchObject({ state: 'approved' });
    }
    const { id: free } = await submit('dora');
    expect((await review(free, 'root', 'approve')).body.submission).toMatchObject({ state: 'approved' });
  });

  test('approvers of the namespace, and nobody sees it who has nothing to do with it', async () => {
    const { id } = await submit('dora');
    expect((await review(id, 'fay', 'approve')).status).toBe(404);
    expect((await review(id, 'dan', 'approve')).status).toBe(404);
    expect((await review(id, 'dora', 'approve')).status).toBe(403);
    expect((await review(id, 'ada', 'approve')).status).toBe(200);
    expect((await gateway.api('POST /submissions', proposal(), keys.dan)).status).toBe(403);
  });

  test('what has changed since it was looked at is not approved', async () => {
    const { id, upstream: name, revision } = await submit('dora');
    await gateway.ok('POST /submissions', { ...proposal(), name: name.slice(3), id }, keys.dora);
    const old = await gateway.api(`POST /submissions/${id}/review`, { decision: 'approve', revision }, keys.ann);
    expect(old).toMatchObject({ status: 409 });
    const blind = await gateway.api(`POST /submissions/${id}/review`, { decision: 'approve' }, keys.ann);
    expect(blind.body.error.message).toContain('get_submission');
  });

  test('as many as the rules say, each once; what one approved who may not any more does not count', async () => {
    await gateway.ok('PUT /review-rules', { rules: { approvers: { count: 2 } } });
    const { id } = await submit('dora');
    expect((await review(id, 'ann', 'approve')).body.submission).toMatchObject({ state: 'submitted', approvals: 1 });
    expect((await review(id, 'ann2', 'approve')).status).toBe(403);
    await gateway.ok('PATCH /members/ann', { isDisabled: true });
    expect((await review(id, 'abe', 'approve')).body.submission).toMatchObject({ state: 'submitted', approvals: 1 });
    await gateway.ok('PATCH /members/ann', { isDisabled: false });
    expect((await review(id, 'ann', 'approve')).body.submission).toMatchObject({ state: 'approved' });
    await gateway.ok('PUT /review-rules', { rules: {} });
  });

  test('two who decide at the same instant: one decision stands', async () => {
    const { id } = await submit('dora');
    const both = await Promise.all([review(id, 'ann', 'approve'), review(id, 'abe', 'reject')]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    const { state } = await look(id);
    expect(await isKnown(`hr__find_${turn}`)).toBe(state === 'approved');
  });
});

describe('what is approved without a person', () => {
  const rule = (autoApprove: object, internal?: object) =>
    gateway.ok('PUT /review-rules', { rules: { autoApprove: [autoApprove], ...(internal === undefined ? {} : { internal }) } });

  test('what comes from a source of our own and fits a rule; nothing from outside, whatever the rules say', async () => {
    await rule({});
    expect((await submit('dora')).state).toBe('submitted');
    await rule({ isReadOnly: true, namespaces: ['hr'] }, { origins: [`127.0.0.1:${upstream.port}`] });
    expect((await submit('dora')).state).toBe('approved');
    expect(await isKnown(`hr__find_${turn}`)).toBe(true);
    await rule({ namespaces: ['finance'] }, { origins: [`127.0.0.1:${upstream.port}`] });
    expect((await submit('dora')).state).toBe('submitted');
    await rule({ minScore: 100 }, { origins: [`127.0.0.1:${upstream.port}`] });
    expect((await submit('dora')).state).toBe('submitted');
    await rule({}, { origins: ['127.0.0.1'] });
    expect((await submit('dora')).state).toBe('submitted');
    await gateway.ok('PUT /review-rules', { rules: {} });
  });

  test('registering without a review can be taken from admins too', async () => {
    await gateway.ok('PUT /review-rules', { rules: { directRegistration: false } });
    const { justification: _, ...direct } = proposal();
    expect((await gateway.api('POST /upstreams', direct)).body.error.message).toContain('submit_capability');
    await gateway.ok('PUT /review-rules', { rules: {} });
    expect((await gateway.api('POST /upstreams', direct)).status).toBe(200);
  });
});

describe('what a submission cannot do', () => {
  test('have a secret sent, or a program run, before somebody approved it', async () => {
    const calls = upstream.listings();
    const secret = { url: `${upstream.url}/?a=1`, headers: { Authorization: `Bearer \${secret:HR__TOKEN}` } };
    const { id } = await submit('dora', { entry: secret });
    expect(upstream.listings()).toBeGreaterThan(calls);
    expect((await look(id)).assessment.findings).toContainEqual(expect.objectContaining({ code: 'gets-secrets' }));
    const command = { command: ['npx', '-y', 'x'] };
    expect((await gateway.api('POST /submissions', proposal({ entry: command }), keys.dora)).body.error.message).toContain(
      'may not be run here',
    );
  });

  test('PO-03: take a name that is there, declared or registered', async () => {
    const first = await submit('dora');
    const second = await gateway.ok('POST /submissions', { ...proposal(), name: first.upstream.slice(3) }, keys.dora);
    expect((await review(first.id, 'ann', 'approve')).status).toBe(200);
    expect((await review(second.submission.id, 'ann', 'approve')).status).toBe(409);
  });

  test('change between its approval and its first call', async () => {
    const { id } = await submit('dora');
    const tool = `hr__find_${turn}`;
    upstream.offer([{ ...find, description: 'Finds a person and writes down who asked.' }]);
    expect((await review(id, 'ann', 'approve')).status).toBe(200);
    expect(await isKnown(tool)).toBe(false);
    await until('a review of the change is open', async () =>
      (await gateway.ok('GET /submissions?state=submitted&limit=200')).submissions.some(
        (one: { about: string; upstream: string }) => one.about === 'change' && one.upstream === `hr/people-${turn}`,
      ),
    );
    upstream.offer([find]);
    await until('it is served', async () => {
      const { body } = await gateway.mcp('', 'tools/list', {});
      return body.result.tools.some((one: { name: string }) => one.name === tool);
    });
    expect(await isKnown(tool)).toBe(true);
  });

  test('be open in numbers', async () => {
    for (let n = 0; n < 60; n++) {
      const { status } = await gateway.api('POST /submissions', proposal({ isDraft: true, namespace: 'finance' }), keys.fay);
      if (status === 409) return;
    }
    throw new Error('sixty submissions are open');
  });
});
