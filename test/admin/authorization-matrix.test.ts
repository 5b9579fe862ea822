import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Action } from '../../src/admin/action.ts';
import { actions } from '../../src/admin/actions.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { serveStdio } from '../../src/inbound/mcp/stdio.ts';
import { roleNames } from '../../src/registry/documents.ts';
import { type AdminGateway, type Answer, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

// Every action by every role through every door. Who sees an action follows from its own `roles`; what each does to something that
// belongs to the namespace hr is said here, and an action that is not is a failure.

interface Rule {
  /** Whose role counts: one for the whole gateway, one for hr as well, or any role that shows the action. */
  readonly where: 'whole gateway' | 'hr' | 'anywhere';
  /** Roles that may do it to what is not their own; those that see the action, when left out. */
  readonly by?: Action['roles'];
  /** What it is tried with; `isAllowed`: it will be done, so what is taken away must be something that nobody else needs. */
  readonly input: (turn: number, isAllowed: boolean) => object | Promise<object>;
}

const rules: Readonly<Record<string, Rule>> = {
  create_namespace: { where: 'whole gateway', input: (n) => ({ namespace: `space-${n}` }) },
  update_namespace: { where: 'hr', input: (n) => ({ namespace: 'hr', description: `description ${n}` }) },
  delete_namespace: {
    where: 'whole gateway',
    async input(n, isAllowed) {
      if (!isAllowed) return { namespace: 'hr' };
      await gateway.ok('POST /namespaces', { namespace: `gone-${n}` });
      return { namespace: `gone-${n}` };
    },
  },
  list_namespaces: { where: 'anywhere', input: () => ({}) },
  register_upstream: {
    where: 'hr',
    input: (n) => ({ namespace: 'hr', name: `up-${n}`, entry: { ...entry(), rename: { echo: `echo-${n}` } } }),
  },
  update_upstream: { where: 'hr', input: (n) => ({ namespace: 'hr', name: 'desk', entry: { ...entry(), timeoutMs: 1000 + n } }) },
  deregister_upstream: {
    where: 'hr',
    async input(n, isAllowed) {
      if (!isAllowed) return { namespace: 'hr', name: 'desk' };
      await gateway.ok('POST /upstreams', {
        namespace: 'hr',
        name: `gone-${n}`,
        entry: { ...entry(), rename: { echo: `gone-${n}` } },
      });
      return { namespace: 'hr', name: `gone-${n}` };
    },
  },
  list_upstreams: { where: 'anywhere', input: () => ({}) },
  test_upstream: { where: 'hr', input: () => ({ namespace: 'hr', name: 'new', entry: { ...entry(), rename: { echo: 'new' } } }) },
  register_model: { where: 'hr', input: (n) => ({ namespace: 'hr', name: `model-${n}`, entry: model() }) },
  update_model: { where: 'hr', input: (n) => ({ namespace: 'hr', name: 'brain', entry: { ...model(), title: `title ${n}` } }) },
  retire_model: {
    where: 'hr',
    async input(n, isAllowed) {
      if (!isAllowed) return { namespace: 'hr', name: 'brain' };
      await gateway.ok('POST /models', { namespace: 'hr', name: `retired-${n}`, entry: model() });
      return { namespace: 'hr', name: `retired-${n}` };
    },
  },
  list_models: { where: 'anywhere', input: () => ({}) },
  // Whoever may call it, or looks after its namespace.
  get_model: { where: 'hr', by: ['admin', 'auditor', 'developer'], input: () => ({ namespace: 'hr', name: 'brain' }) },
  set_model_routing: { where: 'hr', input: () => ({ namespace: 'hr', name: 'brain', attempts: 2 }) },
  get_failover_events: { where: 'anywhere', input: () => ({}) },
  get_model_usage: { where: 'hr', by: ['admin', 'auditor'], input: () => ({ model: 'hr/brain' }) },
  compare_variants: { where: 'hr', input: () => ({ namespace: 'hr', name: 'brain' }) },
  set_alert: { where: 'hr', input: (n) => ({ id: `alert-${n}`, alert: alert() }) },
  delete_alert: {
    where: 'hr',
    async input(n, isAllowed) {
      if (!isAllowed) return { id: 'standing' };
      await gateway.ok(`PUT /alerts/gone-${n}`, { alert: alert() });
      return { id: `gone-${n}` };
    },
  },
  list_alerts: { where: 'anywhere', input: () => ({}) },
  request_key: { where: 'hr', by: ['admin'], input: () => ({ title: 'x', consumer: 'app', models: ['hr/brain'] }) },
  create_toolbox: { where: 'hr', input: (n) => ({ name: `box-${n}`, namespace: 'hr', include: ['hr/*'] }) },
  update_toolbox: { where: 'hr', input: (n) => ({ name: 'box', title: `title ${n}` }) },
  publish_toolbox: {
    where: 'hr',
    async input(n, isAllowed) {
      if (isAllowed) await gateway.ok('PATCH /toolboxes/box', { title: `title ${n}` });
      return { name: 'box' };
    },
  },
  rollback_toolbox: { where: 'hr', input: () => ({ name: 'box', version: 1 }) },
  delete_toolbox: {
    where: 'hr',
    async input(n, isAllowed) {
      if (!isAllowed) return { name: 'box' };
      await gateway.ok('POST /toolboxes', { name: `gone-${n}`, namespace: 'hr', include: ['hr/*'] });
      return { name: `gone-${n}` };
    },
  },
  list_toolboxes: { where: 'anywhere', input: () => ({}) },
  submit_capability: { where: 'hr', input: (n) => submitted(n) },
  list_submissions: { where: 'anywhere', input: () => ({}) },
  // Its submitter sees it too; here that is the operator.
  get_submission: { where: 'hr', by: ['admin', 'approver', 'auditor'], input: () => ({ id: submission }) },
  review_submission: {
    where: 'hr',
    by: ['admin', 'approver'],
    async input(n, isAllowed) {
      if (!isAllowed) return { id: submission, decision: 'reject', comment: 'No.' };
      const given = await gateway.ok('POST /submissions', submitted(n));
      return { id: given.submission.id, decision: 'reject', comment: 'No.' };
    },
  },
  set_review_rules: { where: 'whole gateway', input: () => ({ rules: {} }) },
  get_review_rules: { where: 'anywhere', input: () => ({}) },
  set_model_price: {
    where: 'whole gateway',
    input: (n) => ({ provider: 'openai', model: `m-${n}`, price: { input: 1, output: 2 } }),
  },
  list_model_prices: { where: 'anywhere', input: () => ({}) },
  list_notifications: { where: 'anywhere', input: () => ({}) },
  list_sign_ins: { where: 'anywhere', input: () => ({}) },
  // Of one's own; where there is none, nothing is ended.
  end_sign_in: { where: 'anywhere', input: () => ({ namespace: 'hr', name: 'desk' }) },
  list_capabilities: { where: 'anywhere', input: () => ({}) },
  // Whoever may call it.
  get_documentation: { where: 'hr', by: ['admin', 'developer'], input: () => ({ name: 'hr/echo' }) },
  get_capability: { where: 'hr', by: ['admin', 'developer'], input: () => ({ name: 'hr/echo' }) },
  plan_configuration: { where: 'whole gateway', input: () => ({ text: 'consumers: {}' }) },
  import_configuration: { where: 'whole gateway', input: () => ({ text: 'consumers: {}' }) },
  export_configuration: { where: 'whole gateway', input: () => ({}) },
  create_consumer: { where: 'whole gateway', input: (n) => ({ id: `consumer-${n}`, title: 'x', kind: 'team' }) },
  update_consumer: { where: 'whole gateway', input: (n) => ({ id: 'app', title: `title ${n}` }) },
  list_consumers: { where: 'anywhere', input: () => ({}) },
  create_member: {
    where: 'hr',
    input: (n) => ({ id: `member-${n}`, title: 'x', roles: [{ role: 'developer', namespace: 'hr' }] }),
  },
  update_member: { where: 'hr', input: () => ({ id: 'somebody', roles: [{ role: 'auditor', namespace: 'hr' }] }) },
  list_members: { where: 'anywhere', input: () => ({}) },
  create_key: {
    where: 'hr',
    by: ['admin'],
    input: (n) => ({ id: `key-${n}`, title: 'x', consumer: 'app', scope: { namespaces: ['hr'] } }),
  },
  list_keys: { where: 'anywhere', input: () => ({}) },
  rotate_key: { where: 'hr', by: ['admin'], input: () => ({ id: 'target', graceS: 10 }) },
  disable_key: { where: 'hr', by: ['admin'], input: () => ({ id: 'target', isDisabled: false }) },
  revoke_key: {
    where: 'hr',
    by: ['admin'],
    async input(n, isAllowed) {
      if (!isAllowed) return { id: 'target' };
      const key = { id: `victim-${n}`, title: 'x', consumer: 'app', scope: { namespaces: ['hr'] } };
      await gateway.ok('POST /keys', key);
      return { id: key.id };
    },
  },
  set_policy: { where: 'hr', input: () => ({ scope: 'namespace:hr', policy: { timeoutMs: 60_000 } }) },
  get_policy: { where: 'hr', input: () => ({ scope: 'namespace:hr' }) },
  set_content_policy: { where: 'hr', input: () => ({ scope: 'namespace:hr', categories: { profanity: { out: 'flag' } } }) },
  set_secret: { where: 'hr', input: (n) => ({ name: 'HR__MATRIX', value: `value ${n}` }) },
  list_secrets: { where: 'anywhere', input: () => ({}) },
  list_approvals: { where: 'anywhere', input: () => ({}) },
  get_approval: { where: 'hr', by: ['admin', 'approver', 'auditor'], input: async (n) => ({ id: await heldCall(n) }) },
  decide_approval: {
    where: 'hr',
    by: ['admin', 'approver'],
    input: async (n) => ({ id: await heldCall(n), decision: 'approve' }),
  },
  explain_call: { where: 'hr', by: ['admin', 'auditor'], input: () => ({ caller: 'key:target', capability: 'hr/echo' }) },
  get_usage: { where: 'anywhere', input: () => ({ namespace: 'hr' }) },
  search_audit: { where: 'anywhere', input: () => ({}) },
  verify_audit: { where: 'whole gateway', input: () => ({}) },
  get_health: { where: 'anywhere', input: () => ({}) },
};

/** A call of an application that waits for a person; its id. */
async function heldCall(turn: number): Promise<string> {
  const params = { name: 'hr__echo', arguments: { held: turn } };
  const { body } = await gateway.mcp('', 'tools/call', params, keys.get('a consumer key'));
  return body.result._meta['dev.gatehouse/error'].approval;
}

const entry = () => ({ kind: 'mcp', url: upstream.url });
const model = () => ({ targets: [{ provider: 'openai-compatible', model: 'm', url: upstream.url }] });
const alert = () => ({ namespace: 'hr', per: 'all', unit: 'usd', amount: 10, window: 'day' });
const submitted = (n: number) => ({
  ...{ namespace: 'hr', name: `new-${n}`, justification: 'It is needed.' },
  entry: { ...entry(), rename: { echo: `new-${n}` } },
});

const places = [undefined, 'hr', 'finance'] as const;
const people = roleNames.flatMap((role) => places.map((namespace) => ({ role, namespace })));

let upstream: StagedUpstream;
let gateway: AdminGateway;
const keys = new Map<string, string>();
let turns = 0;
/** Of the operator, and open. */
let submission = '';

beforeAll(async () => {
  upstream = await startStagedUpstream();
  gateway = await openAdminGateway({
    namespaces: { finance: namespaceFor('finance', upstream.url) },
  });
  await gateway.ok('POST /namespaces', { namespace: 'hr', description: 'People' });
  await gateway.ok('POST /upstreams', { namespace: 'hr', name: 'desk', entry: entry() });
  await gateway.ok('PUT /policies/capability:hr%2Fecho', { policy: { gates: [{ when: 'has(args.held)' }] } });
  await gateway.ok('POST /models', { namespace: 'hr', name: 'brain', entry: model() });
  await gateway.ok('PUT /alerts/standing', { alert: alert() });
  await gateway.ok('POST /toolboxes', { name: 'box', namespace: 'hr', include: ['hr/*'] });
  await gateway.ok('POST /toolboxes/box/publish', {});
  await gateway.ok('POST /consumers', { id: 'app', title: 'An application', kind: 'application' });
  await gateway.ok('POST /members', { id: 'somebody', title: 'x' });
  const scope = { namespaces: ['hr'] };
  await gateway.ok('POST /keys', { id: 'target', title: 'x', consumer: 'app', scope });
  keys.set('a consumer key', (await gateway.ok('POST /keys', { title: 'x', consumer: 'app' })).secret);
  submission = (await gateway.ok('POST /submissions', submitted(0))).submission.id;
  for (const person of people) keys.set(nameOf(person), await gateway.person(`m${keys.size}`, [person]));
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

function nameOf({ role, namespace }: (typeof people)[number]): string {
  return `${role} ${namespace === undefined ? 'of the whole gateway' : `of ${namespace}`}`;
}

type Verdict = 'done' | 'refused' | 'needs a role' | 'no such action' | 'unauthenticated';

function expected(action: Action, rule: Rule, person: (typeof people)[number]): Verdict {
  const counts = (roles: Action['roles']) => person.role === 'admin' || roles.includes(person.role);
  if (!counts(action.roles)) return 'no such action';
  if (rule.where === 'anywhere') return 'done';
  const isThere = person.namespace === undefined || (rule.where === 'hr' && person.namespace === 'hr');
  return isThere && counts(rule.by ?? action.roles) ? 'done' : 'refused';
}

function verdictOfRest({ status, body }: Answer): Verdict | string {
  if (status === 200) return 'done';
  const code = body.error?.code;
  if (code === 'unknown_capability') return 'no such action';
  if (code === 'not_allowed' && /needs the role [a-z or]+, and key:/.test(body.error?.message ?? '')) return 'needs a role';
  return code === 'forbidden' || code === 'no_such_object' ? 'refused' : `${status} ${code} ${body.error?.message}`;
}

function verdictOfMcp({ status, body }: Pick<Answer, 'status' | 'body'>): Verdict | string {
  if (body.result !== undefined) return body.result.isError === true ? body.result.content[0].text : 'done';
  if (status === 401) return 'unauthenticated';
  const { code, message } = body.error;
  // Whoever may call nothing is not let into the toolbox, and learns no more of it than of a tool.
  if ((code === -32602 && message.startsWith('Unknown tool')) || code === 40400) return 'no such action';
  return code === 40302 || code === 40402 ? 'refused' : `${code} ${message}`;
}

/** The request that an action's route makes of an input. */
function restOf({ route }: Action, input: object): [route: string, body: object | undefined] {
  const rest = new Map(Object.entries(input));
  const path = route.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = encodeURIComponent(String(rest.get(name)));
    rest.delete(name);
    return value;
  });
  if (!route.startsWith('GET ')) return [path, Object.fromEntries(rest)];
  const query = new URLSearchParams(Array.from(rest, ([name, value]) => [name, String(value)] as [string, string]));
  return [rest.size === 0 ? path : `${path}?${query}`, undefined];
}

const through = {
  REST: async (action: Action, input: object, key: string) => {
    const [route, body] = restOf(action, input);
    return verdictOfRest(await gateway.api(route, body, key));
  },
  '/mcp/admin': async ({ name }: Action, input: object, key: string) =>
    verdictOfMcp(await gateway.mcp('admin', 'tools/call', { name, arguments: input }, key)),
  '/mcp': async ({ name }: Action, input: object, key: string) =>
    verdictOfMcp(await gateway.mcp('', 'tools/call', { name: `admin__${name}`, arguments: input }, key)),
};

test('every action has a row, and every row an action', () => {
  expect(Object.keys(rules).sort()).toEqual(actions.map(({ name }) => name).sort());
});

describe.each(actions.map((action) => [action.name, action] as const))('%s', (name, action) => {
  const rule = rules[name];
  test.each(people.map((person) => [nameOf(person), person] as const))('AZ-01: by %s', async (who, person) => {
    if (rule === undefined) throw new Error(`${name} has no row in this file`);
    const wanted = expected(action, rule, person);
    const key = keys.get(who) ?? '';
    // Among what agents call there is no administration.
    // The API describes all its actions to whoever asks; a list of tools shows its caller's own.
    const overRest = wanted === 'no such action' ? 'needs a role' : wanted;
    const doors = { REST: overRest, '/mcp/admin': wanted, '/mcp': 'no such action' };
    const before = wanted === 'done' ? 0 : await newestChange();
    for (const [door, verdict] of Object.entries(doors)) {
      const input = await rule.input(turns++, verdict === 'done');
      expect([door, await through[door as keyof typeof through](action, input, key)]).toEqual([door, verdict]);
    }
    if (wanted !== 'done') expect(await newestChange()).toBe(before);
  });

  test('AZ-10: by a key of a consumer, and without one', async () => {
    if (rule === undefined) throw new Error(`${name} has no row in this file`);
    for (const door of Object.values(through)) {
      const input = await rule.input(turns++, false);
      expect(await door(action, input, keys.get('a consumer key') ?? '')).toBe('no such action');
    }
    const input = await rule.input(turns++, false);
    const [route, body] = restOf(action, input);
    expect((await gateway.api(route, body, '')).status).toBe(401);
    expect(await through['/mcp/admin'](action, input, '')).toBe('unauthenticated');
    expect(await through['/mcp'](action, input, 'gh_admin_nonsense')).toBe('unauthenticated');
  });
});

async function newestChange(): Promise<number> {
  const { changes } = await gateway.ok('GET /audit?source=changes&limit=1');
  return changes[0].revision;
}

test.each(people.map((person) => [nameOf(person), person] as const))(
  'AZ-10: the list of tools of %s holds what they may see',
  async (who, { role }) => {
    const { body } = await gateway.mcp('admin', 'tools/list', {}, keys.get(who));
    const listed = body.result.tools.map((tool: { name: string }) => tool.name).sort();
    const visible = actions.filter(({ roles }) => role === 'admin' || roles.includes(role));
    expect(listed).toEqual(visible.map(({ name }) => name).sort());
  },
);

describe('over standard input and output', () => {
  async function connect(toolbox: string, toolboxes: 'all' | ReadonlySet<string>) {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const caller = authenticateLocalUser(toolboxes);
    const left = serveStdio(gateway.gateway.edge, { caller, toolbox, input, output, limitBytes: 1_000_000 });
    let id = 0;
    const waiting = new Map<number, (message: Answer['body']) => void>();
    let text = '';
    output.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const message = JSON.parse(line);
        waiting.get(message.id)?.(message);
      }
    });
    const send = (method: string, params: object): Promise<Answer['body']> =>
      new Promise((done) => {
        waiting.set(++id, done);
        input.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
      });
    const clientInfo = { name: 'test', version: '1' };
    await send('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    input.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
    const close = async () => {
      input.end();
      await left;
    };
    return { send, close };
  }

  test('whoever may start the gateway may do everything', async () => {
    const { send, close } = await connect('admin', 'all');
    for (const action of actions) {
      const input = await rules[action.name]?.input(turns++, true);
      const body = await send('tools/call', { name: action.name, arguments: input });
      expect([action.name, verdictOfMcp({ status: 200, body })]).toEqual([action.name, 'done']);
    }
    await close();
  });

  test('whoever was held to a toolbox may do nothing', async () => {
    const { send, close } = await connect('', new Set(['tools']));
    for (const { name } of actions) {
      const body = await send('tools/call', { name: `admin__${name}`, arguments: {} });
      expect(body.error, name).toBeDefined();
    }
    await close();
  });
});
