import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError } from '../errors.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { mapInTurns } from '../turns.ts';
import type { YamlFile } from '../yaml-file.ts';
import { type AdminPorts, defineAction, requireRole } from './action.ts';
import { commitChange } from './change.ts';
import { findClientServers, readClientServers } from './client-servers.ts';
import { type Flaw, type Reading, readConfiguration, readText, textLimitCharacters } from './configuration-format.ts';
import { exportConfiguration } from './export-configuration.ts';
import { type Plan, type PlannedEntry, planConfiguration } from './plan-configuration.ts';
import { refuseUnreviewed } from './upstreams.ts';
import { writeYaml } from './write-yaml.ts';

const input = z.strictObject({
  text: z
    .string()
    .min(1)
    .max(textLimitCharacters)
    .describe(
      'YAML, or JSON, which it has to be beyond 1 MiB: a Gatehouse configuration, or the servers that an MCP client keeps ("mcpServers", "servers").',
    ),
  prune: z.boolean().optional().describe('Remove what is registered and does not stand in the text. Default: false.'),
  namespace: namespaceNameSchema.optional().describe("Where a client's servers go; for those texts only."),
});

const problem = z.object({
  severity: z.enum(['error', 'warning']),
  line: z.number().optional(),
  column: z.number().optional(),
  message: z.string(),
});
const entry = z
  .object({
    change: z.enum(['create', 'change', 'remove', 'unchanged']),
    kind: z.string(),
    id: z.string(),
    line: z.number().optional(),
    details: z.array(z.string()),
  })
  .loose();
const planned = z.object({
  isPossible: z.boolean(),
  changes: z.number(),
  lines: z.array(z.string()).describe('The plan to read: + what is created, ~ what changes, - what goes.'),
  entries: z.array(entry),
  problems: z.array(problem),
  proposal: z.string().optional().describe("A client's servers as a Gatehouse configuration, secrets left out."),
  secrets: z.array(z.string()).optional().describe('Secrets that have to be set for it.'),
});

/** How long an answer waits for new upstreams to show in the catalog. */
const listedWithinMs = 20_000;
const mostLooks = 5;

export const planConfigurationAction = defineAction({
  name: 'plan_configuration',
  title: 'See what an import would do',
  description: 'Reads a configuration, checks all of it and says line by line what importing it would change. Changes nothing.',
  roles: ['admin'],
  isReadOnly: true,
  route: 'POST /configuration/plan',
  input,
  output: planned,
  async run(ports, caller, given, ip) {
    requireRole(caller, ['admin']);
    const { shown } = await look(ports, caller, ip, given);
    return shown;
  },
});

export const importConfiguration = defineAction({
  name: 'import_configuration',
  title: 'Import a configuration',
  description:
    'Makes what a text says so, all of it or nothing. Nothing happens while there is an error in it; a second time there is nothing to do. Plan it first.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /configuration/import',
  input,
  output: planned,
  async run(ports, caller, given, ip) {
    requireRole(caller, ['admin']);
    const { shown, plan } = await lookUndisturbed(ports, caller, ip, given);
    if (!shown.isPossible) throw refusal(shown.problems);
    const { create, change, remove } = count(plan.entries);
    const detail = { create, change, remove };
    if (plan.edits.some(({ kind, body }) => kind === 'upstream' && body !== undefined)) refuseUnreviewed(ports);
    await commitChange(ports, caller, { action: 'import_configuration', edits: plan.edits, detail });
    const touched = shown.entries.filter(
      (one) => one.kind === 'upstream' && (one.change === 'create' || one.change === 'change'),
    );
    await ports.settled(
      touched.map(({ id }) => id),
      listedWithinMs,
    );
    return {
      ...shown,
      entries: shown.entries.map((one) => (touched.includes(one) ? { ...one, ...outcomeOf(ports, one.id) } : one)),
    };
  },
});

export const exportConfigurationAction = defineAction({
  name: 'export_configuration',
  title: 'Export what is registered',
  description:
    'Everything that was registered at run time as one text that import_configuration takes. Keys and secrets are not in it.',
  roles: ['admin'],
  isReadOnly: true,
  route: 'GET /configuration',
  input: z.strictObject({ format: z.enum(['yaml', 'json']).optional().describe('Default: yaml.') }),
  output: z.object({ text: z.string() }),
  async run(ports, caller, { format = 'yaml' }) {
    requireRole(caller, ['admin']);
    const value = await exportConfiguration(ports);
    return { text: format === 'yaml' ? await writeYaml(value) : `${JSON.stringify(value, undefined, 2)}\n` };
  },
});

interface Look {
  readonly plan: Plan;
  readonly shown: z.output<typeof planned>;
}

/** As often as it takes until nothing was changed meanwhile: keys are made, and upstreams change, all the time. */
async function lookUndisturbed(ports: AdminPorts, caller: Caller, ip: string, given: z.output<typeof input>): Promise<Look> {
  const { registry } = ports;
  for (let tries = 1; tries <= mostLooks; tries++) {
    const { revision } = registry;
    const found = await look(ports, caller, ip, given);
    if (registry.revision === revision) return found;
  }
  throw new GatewayError(
    'conflict',
    'What is registered is changed by somebody else all the time; plan it again, then repeat the import.',
  );
}

async function look(
  ports: AdminPorts,
  caller: Caller,
  ip: string,
  { text, prune = false, namespace }: z.output<typeof input>,
): Promise<Look> {
  const yaml = await readText(text);
  const nothing: Plan = { entries: [], flaws: [], edits: [] };
  if (yaml.problems.length > 0) {
    const problems = yaml.problems.map(({ line, column, message }) => ({ severity: 'error' as const, line, column, message }));
    return { plan: nothing, shown: { isPossible: false, changes: 0, lines: [], entries: [], problems } };
  }
  const found = findClientServers(yaml.value);
  const reading = await read(yaml, found, namespace);
  // A client's file says nothing of the rest: what is not in it stays.
  const plan = await planConfiguration(ports, caller, ip, reading.wanted, prune && found === undefined);
  const problems = locateAll(yaml, [...reading.flaws, ...plan.flaws]);
  const isPossible = !problems.some(({ severity }) => severity === 'error');
  const entries = await mapInTurns(plan.entries, (one) => locateEntry(yaml, one));
  const { create, change, remove } = count(plan.entries);
  const shown = { isPossible, changes: create + change + remove, lines: entries.flatMap(linesOf), entries, problems };
  if (found === undefined) return { plan, shown };
  return { plan, shown: { ...shown, proposal: await writeYaml(proposalOf(reading)), secrets: [...(reading.secrets ?? [])] } };
}

async function read(
  yaml: YamlFile,
  found: ReturnType<typeof findClientServers>,
  namespace: string | undefined,
): Promise<Reading & { readonly secrets?: readonly string[] }> {
  if (found === undefined) return readConfiguration(yaml.value);
  if (namespace !== undefined && namespace !== 'admin') return readClientServers(found.path, found.servers, namespace);
  const message = 'These are the servers of an MCP client. Say which namespace they go to with "namespace".';
  return { wanted: [], flaws: [{ path: found.path, message }] };
}

function locateAll(yaml: YamlFile, flaws: readonly Flaw[]): z.output<typeof problem>[] {
  const problems = flaws.map(({ path, message, severity = 'error' }) => {
    const { line, column } = yaml.locate(path);
    return { severity, ...(path.length === 0 ? {} : { line, column }), message };
  });
  const unique = new Map(problems.map((one) => [`${one.line}:${one.column} ${one.message}`, one]));
  return [...unique.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

function locateEntry(yaml: YamlFile, { change, kind, id, path, details }: PlannedEntry) {
  return { change, kind, id, ...(path === undefined ? {} : { line: yaml.locate(path).line }), details: [...details] };
}

const signs = { create: '+', change: '~', remove: '-', unchanged: '=' } as const;

function linesOf({ change, kind, id, line, details }: ReturnType<typeof locateEntry>): string[] {
  if (change === 'unchanged') return [];
  return [
    `${signs[change]} ${kind} ${id}${line === undefined ? '' : ` (line ${line})`}`,
    ...details.map((detail) => `    ${detail}`),
  ];
}

function count(entries: readonly PlannedEntry[]) {
  const of = (change: PlannedEntry['change']) => entries.filter((one) => one.change === change).length;
  return { create: of('create'), change: of('change'), remove: of('remove') };
}

function refusal(problems: readonly z.output<typeof problem>[]): GatewayError {
  const lines = problems.map(
    ({ severity, line, message }) => `- ${severity}${line === undefined ? '' : ` in line ${line}`}: ${message}`,
  );
  return new GatewayError('bad_arguments', `Nothing was imported.\n${lines.join('\n')}`, { data: { problems } });
}

function outcomeOf({ catalog }: AdminPorts, id: string) {
  const { upstreams, everything, problems } = catalog();
  const health = upstreams.get(id)?.upstream.health();
  return {
    state: health?.state ?? 'left out',
    ...(health?.lastError === undefined ? {} : { lastError: health.lastError.message }),
    tools: [...everything.tools.values()].filter(({ member }) => member.id === id).map(({ outwardName }) => outwardName),
    missing: problems.filter(({ upstream }) => upstream === id).map(({ message }) => message),
  };
}

function proposalOf({ wanted }: Reading): object {
  const [first] = wanted;
  const upstreams = wanted.flatMap((one) => (one.kind === 'upstream' ? [[one.name, one.entry] as const] : []));
  return { namespaces: [{ namespace: first?.id ?? '', upstreams: Object.fromEntries(upstreams) }] };
}
