import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Caller } from '../call/authenticate.ts';
import type { Member } from '../catalog/catalog.ts';
import { completeConfig } from '../catalog/complete-config.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import { contribute } from '../catalog/contribution.ts';
import { prepareInTurns } from '../catalog/definition.ts';
import { readNamespaceFile } from '../catalog/namespace-file.ts';
import { GatewayError } from '../errors.ts';
import { checkEntry } from '../registry/documents.ts';
import { checkRunTimeRules } from '../registry/run-time-rules.ts';
import { importTimeoutMs, type Offer } from '../upstreams/upstream.ts';
import { isObject } from '../wire/json.ts';
import { type AdminPorts, requireRole } from './action.ts';
import { errorAt, type Finding, hasErrors, warningAt } from './findings.ts';
import { findModelFlaws } from './model-findings.ts';
import { refuseForeignEmbedder } from './own-model.ts';
import { refuseForeignSecrets, refuseWrittenSecrets } from './secret-references.ts';

export type Entry = Readonly<Record<string, unknown>>;

export interface Draft {
  readonly namespace: string;
  readonly name: string;
  readonly entry: Entry;
  /** The API description that goes with it. */
  readonly document?: Buffer | undefined;
}

/** What became of a look at an upstream. */
export interface Examination {
  readonly findings: readonly Finding[];
  /** What would be listed, by outward name. */
  readonly tools: readonly string[];
  readonly prompts: readonly string[];
  readonly resources: number;
  readonly server: string | undefined;
  readonly protocolVersion: string | undefined;
  /** What it would change of the API that runs in its place, one line each; undefined for other kinds. */
  readonly changes?: readonly string[] | undefined;
  /** What was seen; undefined where nothing was. */
  readonly offer: Offer | undefined;
}

type TrialPorts = Pick<
  AdminPorts,
  'cancel' | 'compareUpstreams' | 'tryUpstream' | 'catalog' | 'checks' | 'namespacesDir' | 'allowedCommands'
>;

const tryWithinMs = 30_000;
/** As long as an import may take, and the rest of a trial; a description that was waited for before it is given the rest. */
const importWithinMs = importTimeoutMs + tryWithinMs;
/** Schemas that are compiled to see whether they can be; the rest shows at its first call. */
const mostSchemas = 2_000;

/**
 * Everything that can be said of an entry without connecting. Throws GatewayError `forbidden` where it runs a command and its caller
 * does not administer the whole gateway.
 */
export function checkDraft(
  { allowedCommands }: TrialPorts,
  caller: Caller,
  { namespace, name, entry }: Draft,
): readonly Finding[] {
  if (entry.command !== undefined || entry.env !== undefined || entry.cwd !== undefined) requireRole(caller, ['admin']);
  return [
    ...checkEntry('upstreams', namespace, name, entry).map(({ path, message }) => errorAt(path, message)),
    ...checkRunTimeRules(entry, allowedCommands).map(({ path, message }) => errorAt(path, message)),
    ...refuseWrittenSecrets(namespace, name, entry),
    ...refuseForeignSecrets(caller, namespace, entry),
    ...refuseForeignEmbedder(caller, namespace, entry),
  ];
}

/** Checks an entry, then connects to what it names and looks at what that offers. Connects to nothing that is not allowed. */
export async function examineUpstream(ports: TrialPorts, caller: Caller, draft: Draft, running?: Member): Promise<Examination> {
  const ofForm = checkDraft(ports, caller, draft);
  if (hasErrors(ofForm)) return { ...nothing, findings: ofForm };
  const findings = [...ofForm, ...(await findModelFlaws(ports.catalog(), draft))];
  if (hasErrors(findings)) return { ...nothing, findings };
  const config = configOf(ports, draft);
  if (config.transport.type === 'openapi' && draft.document === undefined)
    return {
      ...nothing,
      findings: [errorAt(['document'], 'There is no API description; give it as "document" or "documentUrl".')],
    };
  const isPerUser = 'auth' in config.transport && config.transport.auth?.kind === 'user';
  const trial = await tryOut(ports, isPerUser ? withoutAuth(config) : config, isPerUser, draft.document, running);
  return { ...trial, findings: [...findings, ...trial.findings] };
}

/** Looks at what a running upstream would offer under another entry, where its connection stays as it is. */
export async function examineOffer(ports: TrialPorts, draft: Draft, member: Member): Promise<Examination> {
  return lookAt(ports, { id: member.id, config: configOf(ports, draft), upstream: member.upstream });
}

/** Whether two entries connect to the same far end with the same rights. */
export function hasSameConnection(a: Entry, b: Entry): boolean {
  // What an API offers is chosen and named where its description is read.
  if (a.kind === 'openapi' || b.kind === 'openapi') return false;
  // What a model offers is made of its whole entry.
  if (a.kind === 'model' || b.kind === 'model') return isDeepStrictEqual(a, b);
  return (['kind', 'command', 'env', 'cwd', 'url', 'headers', 'auth', 'era', 'sessions'] as const).every((key) =>
    isDeepStrictEqual(a[key], b[key]),
  );
}

const nothing: Examination = {
  findings: [],
  tools: [],
  prompts: [],
  resources: 0,
  server: undefined,
  protocolVersion: undefined,
  offer: undefined,
};

/** Of an entry without flaws. */
export function configOf(
  { namespacesDir }: Pick<AdminPorts, 'namespacesDir'>,
  { namespace, name, entry }: Draft,
): UpstreamConfig {
  const read = readNamespaceFile({ namespace, upstreams: { [name]: entry } });
  const file = 'file' in read ? read.file : { namespace };
  const [config] = completeConfig(file, join(namespacesDir, `${namespace}.yaml`), 'guarded').upstreams;
  if (config === undefined) throw new Error(`the entry of ${namespace}/${name} has flaws`);
  return config;
}

/** Who signs in does so at what runs, not at what is tried. */
function withoutAuth(config: UpstreamConfig): UpstreamConfig {
  const { transport } = config;
  return 'auth' in transport ? { ...config, transport: { ...transport, auth: undefined } } : config;
}

/** Connects to an upstream that nobody can call, and looks at what it offers. Throws GatewayError `cancelled` once nobody wants to know. */
export async function tryOut(
  ports: TrialPorts,
  config: UpstreamConfig,
  isPerUser: boolean,
  document?: Buffer | undefined,
  running?: Member | undefined,
): Promise<Examination> {
  const upstream = ports.tryUpstream(config, document);
  const withinMs = config.transport.type === 'openapi' ? importWithinMs : tryWithinMs;
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, withinMs);
  const takeBack = ports.cancel.onCancel((reason) => late.reject(new GatewayError('cancelled', reason)));
  try {
    upstream.start();
    await Promise.race([upstream.ready(), late.promise]);
    const { lastError } = upstream.health();
    if (!upstream.offer().isStale) {
      const changes = running === undefined ? undefined : ports.compareUpstreams(running.upstream, upstream);
      return { ...(await lookAt(ports, { id: config.id, config, upstream })), changes };
    }
    const reason = lastError?.message ?? `no answer within ${withinMs / 1000} s`;
    return { ...nothing, findings: [describeFailure(config, reason, isPerUser)] };
  } finally {
    clearTimeout(timer);
    takeBack();
    await upstream.close();
  }
}

function describeFailure({ transport }: UpstreamConfig, reason: string, isPerUser: boolean): Finding {
  if (transport.type === 'openapi') return errorAt(['document'], `The API cannot be served: ${reason}`);
  if (transport.type === 'model') return errorAt(['targets'], `The model cannot be served: ${reason}`);
  if (transport.type === 'stdio') return errorAt(['command'], `The command does not speak MCP: ${reason}.`);
  if (reason.includes('HTTP 508'))
    return errorAt(['url'], 'This is the address of this gateway itself; it cannot be its own upstream.');
  if (reason.includes('leads back here'))
    return errorAt(
      ['url'],
      'This address leads back to this gateway: it is a gateway that offers what this one offers. Register a toolbox of it without that, or take this gateway out there.',
    );
  if (isPerUser && reason.includes('HTTP 401'))
    return warningAt(['auth'], 'It asks for a sign-in: what it offers shows when the first caller has signed in.');
  if (reason.includes('that may be reached')) {
    return errorAt(
      ['url'],
      `There is ${reason.split(';')[0]}. What is registered at run time must be public and https, or be allowed with GATEHOUSE_EGRESS_ALLOW by whoever runs this gateway.`,
    );
  }
  return errorAt(['url'], `The address does not answer as an MCP server: ${reason}.`);
}

async function lookAt(ports: TrialPorts, member: Member): Promise<Examination> {
  await prepareInTurns(member.upstream.offer());
  const contribution = contribute(member);
  const { tools, prompts, resources, resourceTemplates, problems } = contribution;
  const { server, protocolVersion } = member.upstream.health();
  const findings: Finding[] = problems.map(({ subject, message }) => warningAt([], `${subject.slice(0, 200)}: ${message}`));
  if (tools.length + prompts.length + resources.length + resourceTemplates.length === 0)
    findings.push(warningAt([], 'It offers no tool, no prompt and no resource right now.'));
  for (const { definition, outwardName, name } of [...tools, ...prompts]) {
    if (!outwardName.endsWith(`__${definition.name}`) && !Object.hasOwn(member.config.rename, definition.name))
      findings.push(warningAt(['rename'], `"${definition.name.slice(0, 200)}" is no legal name here; it is listed as ${name}.`));
  }
  findings.push(...findCollisions(ports, member, tools, 'tools'), ...findCollisions(ports, member, prompts, 'prompts'));
  findings.push(...findTakenAliases(ports, member));
  // What a description came to was checked where it was converted.
  if (member.config.kind === 'mcp') findings.push(...(await checkSchemas(ports, tools)));
  return {
    findings,
    tools: tools.map(({ outwardName }) => outwardName),
    prompts: prompts.map(({ outwardName }) => outwardName),
    resources: resources.length + resourceTemplates.length,
    server,
    protocolVersion,
    offer: contribution.offer,
  };
}

type Named = { readonly outwardName: string; readonly name: string; readonly definition: { readonly name: string } };

function findCollisions(ports: TrialPorts, { id, config }: Member, own: readonly Named[], kind: 'tools' | 'prompts'): Finding[] {
  const taken = new Map<string, string>();
  for (const { outwardName, member } of ports.catalog().everything[kind].values())
    if (member.config.namespace === config.namespace && member.id !== id) taken.set(outwardName.toLowerCase(), member.id);
  return own.flatMap(({ outwardName, name, definition }) => {
    const owner = taken.get(outwardName.toLowerCase());
    if (owner === undefined) return [];
    const message = `${owner} already offers ${name}. Give "${definition.name}" another name with "rename", or leave it out with "exclude".`;
    return [errorAt(['rename'], message)];
  });
}

/** A model under the name of another would get what is meant for that one, as soon as that one cannot be served. */
function findTakenAliases(ports: TrialPorts, { id, config }: Member): Finding[] {
  const { modelNames, upstreams } = ports.catalog();
  const namespaces = new Set(Array.from(upstreams.values(), (member) => member.config.namespace));
  return (config.transport.type === 'model' ? config.transport.aliases : []).flatMap((alias, at) => {
    const owner = modelNames.get(alias)?.member.id;
    const path = ['aliases', at];
    if (owner !== undefined && owner !== id) return [errorAt(path, `${owner} is already called "${alias}"; choose another.`)];
    const [namespace = ''] = alias.split(/\/|__/, 1);
    if (namespace === alias || namespace === config.namespace || !namespaces.has(namespace)) return [];
    return [errorAt(path, `"${alias}" is a name of the namespace ${namespace}; choose one that is not somebody else's.`)];
  });
}

async function checkSchemas(
  { checks }: TrialPorts,
  tools: readonly { readonly definition: { readonly inputSchema?: unknown; readonly name: string } }[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { definition } of tools.slice(0, mostSchemas)) {
    if (!isObject(definition.inputSchema)) continue;
    const check = checks.of(definition.inputSchema);
    await check.prepare();
    const name = definition.name.slice(0, 200);
    if (check.problem !== undefined) {
      const message = `The input schema of "${name}" cannot be used, so every call of it would be refused: ${check.problem} Leave it out with "exclude", or have it repaired.`;
      findings.push(errorAt(['exclude'], message));
    }
    for (const warning of check.warnings) findings.push(warningAt([], `The input schema of "${name}": ${warning}`));
  }
  return findings;
}
