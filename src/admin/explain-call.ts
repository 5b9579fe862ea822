import { isIP } from 'node:net';
import { z } from 'zod';
import { reachesOf, stateOf } from '../call/authenticate/registered-key.ts';
import { callerOfMember } from '../call/authenticate/token-callers.ts';
import type { Caller } from '../call/authenticate.ts';
import type { Circumstances } from '../call/authorize.ts';
import { type ExplainedStep, explain } from '../call/explain.ts';
import type { Asked } from '../call/resolve.ts';
import { modelsPlace, toolboxOf } from '../catalog/catalog.ts';
import { GatewayError } from '../errors.ts';
import { compileNetworks } from '../policy/network.ts';
import { describeScope, type PolicySource } from '../policy/policy.ts';
import type { Facts } from '../policy/rule-facts.ts';
import type { Json, JsonObject } from '../wire/json.ts';
import { type AdminPorts, defineAction, hasRole } from './action.ts';
import { isOwn } from './key-authority.ts';
import { knownTo, whyNothing } from './known-names.ts';
import { policiesOver } from './policies.ts';

const stepShown = z.object({
  step: z.enum(['authenticate', 'resolve', 'authorize', 'limit', 'screen', 'approve']),
  decision: z.enum(['allow', 'wait', 'deny', 'unknown']),
  why: z.string(),
  details: z.array(z.string()).describe('What the decision was made of.'),
});

export const explainCall = defineAction({
  name: 'explain_call',
  title: 'Explain a call',
  description:
    'What would happen to a call of somebody, step by step and why, without making it: nothing is sent and nothing used up. For others by an admin or auditor of the namespace; for yourself by everybody, in the words that the call would have.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'POST /explain',
  input: z.strictObject({
    caller: z
      .string()
      .min(1)
      .max(600)
      .optional()
      .describe('Who: "key:<id>", "member:<id>", or an identity of a member as records show it. Default: you.'),
    capability: z
      .string()
      .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name".')
      .optional()
      .describe('What: "namespace/name" of a tool or prompt.'),
    uri: z.string().min(1).max(2048).optional().describe('What instead: a resource, as clients of the toolbox see its URI.'),
    method: z
      .enum(['tools/call', 'prompts/get', 'resources/read', 'models/call'])
      .optional()
      .describe(
        'Default: tools/call, of a resource resources/read. "models/call": of a model at /v1; "arguments" is a request of chat.',
      ),
    toolbox: z.string().max(64).optional().describe('The toolbox it is called in. Default: everything, as at /mcp.'),
    arguments: z.record(z.string(), z.unknown()).optional().describe('Default: none.'),
    ip: z
      .string()
      .max(64)
      .refine((text) => isIP(text) !== 0, 'Write an address, e.g. 192.0.2.7.')
      .optional()
      .describe('Where it comes from. Default: this machine itself, which no network holds back.'),
    atMs: z.int().min(0).max(8_640_000_000_000_000).optional().describe('When, in ms since 1970. Default: now.'),
  }),
  output: z.object({
    decision: z.enum(['allow', 'wait', 'deny', 'unknown']).describe('"wait": a person would have to agree first.'),
    caller: z.string(),
    capability: z.string().describe('Of a resource its upstream; empty where there is none.'),
    uri: z.string().optional(),
    steps: z.array(stepShown).describe('Up to the first that refuses.'),
  }),
  async run(
    ports,
    caller,
    { caller: whose, capability: named, uri, method: given, toolbox: through = '', arguments: args = {}, ip = '', atMs },
    from,
  ) {
    const method = given ?? (uri === undefined ? 'tools/call' : 'resources/read');
    const toolbox = method === 'models/call' ? modelsPlace : through;
    const isOne =
      method === 'resources/read' ? uri !== undefined && named === undefined : named !== undefined && uri === undefined;
    if (!isOne)
      throw new GatewayError('bad_arguments', 'Give "capability" for a tool or a prompt, or "uri" for a resource, and not both.');
    // Of a resource its upstream's: what rules and records call it.
    const capability = named ?? ownerOf(ports, toolbox, uri ?? '');
    const nowMs = atMs ?? ports.clock.nowMs();
    const subject = subjectOf(ports, caller, whose, nowMs);
    const namespace = namespaceOf(capability);
    const isInsider = hasRole(caller, ['admin', 'auditor'], namespace === 'admin' ? undefined : namespace);
    if (!isInsider && !subject.isSelf)
      throw new GatewayError('forbidden', `${caller.id} may explain own calls, and those in namespaces that they look after.`);
    const proof: ExplainedStep = {
      step: 'authenticate',
      decision: subject.caller === undefined ? 'deny' : 'allow',
      why: subject.why,
      details: [],
    };
    const asked = { caller: subject.name, capability: named ?? '', ...(uri === undefined ? {} : { uri }) };
    if (subject.caller === undefined) return { decision: 'deny', ...asked, steps: [proof] };
    const circumstances = { policies: ports.policies(), ip, nowMs, maySeeAction: ports.calls.maySeeAction };
    const name = method === 'models/call' ? (capability ?? '') : outwardName(ports, toolbox, method, capability ?? '');
    const dialect = method === 'models/call' ? { dialect: 'chat' } : {};
    const ask: Asked = {
      toolbox,
      method,
      params: uri === undefined ? { name, ...dialect, arguments: args as JsonObject } : { uri },
    };
    const asNamed = isInsider ? undefined : (named ?? '');
    const found = await explain(ports.calls, circumstances, ports.catalog(), subject.caller, ask, asNamed);
    const insight = isInsider && capability !== undefined ? await insightOf(ports, subject, circumstances, ask, capability) : [];
    const hint = found[0]?.decision === 'deny' && named !== undefined ? await hintFor(ports, caller, from, named) : [];
    const steps = [proof, ...found.map((step) => withDetails(step, { authorize: insight, resolve: hint }))];
    // Whose a resource is hears who administers it, or could read it.
    const isTold = isInsider || found[0]?.decision === 'allow';
    return {
      decision: steps.at(-1)?.decision ?? 'unknown',
      ...asked,
      ...(isTold && capability !== undefined ? { capability } : {}),
      steps,
    };
  },
});

function withDetails(step: ExplainedStep, details: Readonly<Record<string, readonly string[]>>): ExplainedStep {
  const { [step.step]: more = [] } = details;
  return more.length === 0 ? step : { ...step, details: more };
}

/** Of a name that leads nowhere, as far as whoever asks may know of others. */
async function hintFor(ports: AdminPorts, caller: Caller, ip: string, name: string): Promise<readonly string[]> {
  const known = await knownTo(ports, caller, ip);
  if (known.capabilities.has(name)) return [];
  const why = whyNothing(known, name, known.capabilities.keys()).trim();
  return [why === '' ? 'list_capabilities shows what there is.' : why];
}

/** Whose call it is. */
interface Subject {
  readonly name: string;
  readonly isSelf: boolean;
  /** Undefined where they would not be let in. */
  readonly caller: Caller | undefined;
  readonly why: string;
}

function subjectOf({ registry, keys }: AdminPorts, asking: Caller, whose: string | undefined, nowMs: number): Subject {
  if (whose === undefined || whose === asking.id) return { name: asking.id, isSelf: true, caller: asking, why: 'It is you.' };
  const keyId = whose.startsWith('key:') ? whose.slice('key:'.length) : whose;
  const key = registry.get('key', keyId)?.body;
  const caller = keys.callerOf(keyId, nowMs);
  if (key !== undefined || caller !== undefined) {
    const why = key === undefined ? "It is the operator's key." : stateOf(registry, key, nowMs).why;
    return { name: `key:${keyId}`, isSelf: key !== undefined && isOwn(asking, key), caller, why };
  }
  const member = registry.list('member').find(({ id, body }) => whose === `member:${id}` || body.identities.includes(whose));
  if (member === undefined)
    return {
      name: whose,
      isSelf: false,
      caller: undefined,
      why: 'Nobody of that name is known: no key, and no identity of a member.',
    };
  const { isDisabled } = member.body;
  const why = isDisabled
    ? `The member ${member.id} is disabled.`
    : `It is the member ${member.id}, by a token that says nothing else.`;
  return { name: whose, isSelf: member.id === asking.member, caller: callerOfMember(registry, member.id), why };
}

/** Undefined for one that nobody is known for: then only those who look after everything are insiders. */
function namespaceOf(capability: string | undefined): string | undefined {
  return capability?.slice(0, capability.indexOf('/'));
}

function ownerOf({ catalog }: AdminPorts, toolbox: string, uri: string): string | undefined {
  return toolboxOf(catalog(), toolbox)?.uris.toUpstream(uri)?.member.id;
}

/** What a client of this toolbox calls a capability; the name itself where it is not there, for the step that says so. */
function outwardName({ catalog }: AdminPorts, toolbox: string, method: Asked['method'], capability: string): string {
  const found = toolboxOf(catalog(), toolbox);
  const entries = method === 'tools/call' ? found?.tools : found?.prompts;
  for (const [outward, { name }] of entries ?? []) if (name === capability) return outward;
  return capability;
}

/** Everything that the step `authorize` looked at, each with what it says. For those who may know the rules. */
async function insightOf(
  ports: AdminPorts,
  { caller, name }: Subject,
  circumstances: Circumstances,
  ask: Asked,
  capability: string,
): Promise<readonly string[]> {
  if (caller === undefined) return [];
  const { registry } = ports;
  const namespace = capability.slice(0, capability.indexOf('/'));
  const isModel = ports.catalog().modelNames.get(capability)?.name === capability;
  const place = { namespace, name: capability, isModel };
  const key = name.startsWith('key:') ? registry.get('key', name.slice('key:'.length))?.body : undefined;
  const reaches =
    key === undefined
      ? caller.reaches.map((reach) => ['what its roles and scopes say', reach] as const)
      : reachesOf(registry, key);
  const lines = reaches.map(([what, reach]) => {
    if (!reach(ask.toolbox, undefined)) return `No: ${what} does not hold the toolbox "${ask.toolbox}".`;
    return reach(ask.toolbox, place) ? `Yes: ${what} holds it.` : `No: ${what} does not hold ${capability}.`;
  });
  if (namespace === 'admin' && !circumstances.maySeeAction(caller, capability.slice('admin/'.length)))
    lines.push('No: its roles do not include this action.');
  if (caller.isInNetwork !== undefined) lines.push(inNetwork('the key', caller.isInNetwork, circumstances.ip));
  for (const source of policiesOver(ports, { kind: 'capability', capability }))
    lines.push(...(await sayOf(source, ports, caller, circumstances, ask, capability)));
  return lines;
}

async function sayOf(
  { scope, policy }: PolicySource,
  { catalog }: AdminPorts,
  caller: Caller,
  { ip, nowMs }: Circumstances,
  { method, params }: Asked,
  capability: string,
): Promise<readonly string[]> {
  const lines: string[] = [];
  const from = describeScope(scope);
  if (policy.network !== undefined) lines.push(inNetwork(from, compileNetworks(policy.network), ip));
  if (policy.allow === undefined) return lines;
  if (policy.allow.length === 0) return [...lines, `No: the rules of ${from} are an empty list, which allows nothing.`];
  const { compileRule, decide } = await import('../policy/rule.ts');
  const namespace = capability.slice(0, capability.indexOf('/'));
  const { everything, upstreams } = catalog();
  const entries = method === 'prompts/get' ? everything.prompts : everything.tools;
  const upstream =
    method === 'resources/read'
      ? (upstreams.get(capability)?.id ?? '')
      : ([...entries.values()].find(({ name }) => name === capability)?.member.id ?? '');
  const facts: Facts = {
    caller: caller.facts,
    capability: { name: capability, namespace, upstream, kind: 'tool', method },
    ip,
    nowMs,
  };
  for (const source of policy.allow) {
    const compiled = await compileRule(source);
    if (!('rule' in compiled)) continue;
    const { isAllowed, faults } = decide([compiled.rule], facts, (params.arguments ?? {}) as { [key: string]: Json });
    const fault = faults.length === 0 ? '' : ` ${faults.join(' ')}`;
    lines.push(`${isAllowed ? 'Yes' : 'No'}: the rule of ${from}, ${source}, is ${isAllowed ? '' : 'not '}true.${fault}`);
  }
  return lines;
}

function inNetwork(whose: string, isIn: (ip: string) => boolean, ip: string): string {
  if (ip === '') return `Yes: the networks of ${whose} do not hold back this machine itself.`;
  return isIn(ip) ? `Yes: the networks of ${whose} hold ${ip}.` : `No: the networks of ${whose} do not hold ${ip}.`;
}
