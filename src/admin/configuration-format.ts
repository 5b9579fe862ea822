import { z } from 'zod';
import { checkModelRules } from '../catalog/check-model-rules.ts';
import { keptDigest, keptReference } from '../catalog/description-files.ts';
import { namespaceFileSchema, readNamespaceFile } from '../catalog/namespace-file.ts';
import { describeIssue } from '../describe-issue.ts';
import { priceId } from '../models/prices.ts';
import { limitsSchema } from '../policy/limit-rules.ts';
import { checkRules, type Policy, policySchema } from '../policy/policy-schema.ts';
import { suggestName } from '../problems.ts';
import { readScope } from '../registry/compose.ts';
import { keepDescription } from '../registry/descriptions.ts';
import {
  type AlertDocument,
  alertSchema,
  type ConsumerDocument,
  type Documents,
  idSchema,
  type MemberDocument,
  modelPriceSchema,
  namespaceNameSchema,
  roleGrantSchema,
  toolboxNameSchema,
} from '../registry/documents.ts';
import { encodeInTurns, inTurns } from '../turns.ts';
import { ExcessError, parseInTurns } from '../wire/gradual-json.ts';
import { isObject } from '../wire/json.ts';
import { readYamlApart } from '../yaml-apart.ts';
import { fileLimitBytes, type YamlFile } from '../yaml-file.ts';
import type { Entry } from './examine-upstream.ts';
import { blankComments, looksLikeJson } from './json-comments.ts';
import { findPlaces, offsetAt } from './json-positions.ts';

// One text for many things: what `import_configuration` reads and `export_configuration` writes.

const title = z.string().min(1).max(200).describe('Name for people.');
const isDisabled = z.boolean().optional().describe('Refused while true. Default: false.');

const consumer = z.strictObject({
  title,
  kind: z.enum(['team', 'application']).describe('What it is.'),
  limits: limitsSchema.optional().describe('Rates and budgets of all its keys together.'),
  isDisabled,
});

const member = z.strictObject({
  title,
  identities: z
    .array(z.string().min(1).max(512))
    .max(20)
    .optional()
    .describe('Whose tokens speak for this member: "oauth:<issuer>#<subject>", or an e-mail address.'),
  roles: z.array(roleGrantSchema).max(200).optional().describe('What the member may do, and where.'),
  limits: limitsSchema.optional().describe("Rates and budgets of all the member's calls."),
  isDisabled,
});

const draft = z
  .object({ namespace: namespaceNameSchema.describe('Whose it is.') })
  .catchall(z.unknown())
  .describe('A toolbox that is not published as it stands here: its namespace, and the keys of a toolbox.');

const unnamed = namespaceFileSchema.omit({ namespace: true });

const configurationSchema = z
  .strictObject({
    namespaces: z
      .union([z.array(namespaceFileSchema).max(10_000), z.record(namespaceNameSchema, unnamed)])
      .optional()
      .describe('Namespaces, each as a file of its own would say it: a list, or a map by name.'),
    consumers: z.record(idSchema, consumer).optional().describe('Teams and applications by id.'),
    members: z.record(idSchema, member).optional().describe('People by id.'),
    policies: z
      .record(z.string(), policySchema)
      .optional()
      .describe('Policies: "global", "namespace:hr" or "capability:hr/find_person".'),
    drafts: z.record(toolboxNameSchema, draft).optional().describe('Toolboxes in the making, by name.'),
    alerts: z.record(idSchema, alertSchema).optional().describe('Alerts on what models are used for, by id.'),
    modelPrices: z.array(modelPriceSchema).max(10_000).optional().describe('What models cost here, whatever is published.'),
  })
  .describe('A Gatehouse configuration: what is registered at run time, as one text.');

/** The format as JSON Schema, for editors. */
export function configurationJsonSchema(): object {
  return z.toJSONSchema(configurationSchema, { io: 'input', reused: 'ref' });
}

/** One thing that a text says should be there, and where it says so. */
export type Wanted = { readonly path: readonly PropertyKey[]; readonly id: string } & (
  | { readonly kind: 'namespace'; readonly description: string | undefined }
  | {
      readonly kind: 'upstream';
      readonly namespace: string;
      readonly name: string;
      /** As it is kept: a reference stands in place of an API description. */
      readonly entry: Entry;
      readonly description?: Documents['description'] | undefined;
    }
  | { readonly kind: 'toolbox' | 'draft'; readonly namespace: string; readonly selection: Record<string, unknown> }
  | { readonly kind: 'consumer'; readonly body: ConsumerDocument }
  | { readonly kind: 'member'; readonly body: MemberDocument }
  | { readonly kind: 'policy'; readonly policy: Policy }
  | { readonly kind: 'alert'; readonly body: AlertDocument }
  | { readonly kind: 'model-price'; readonly body: Documents['model-price'] }
);

export interface Flaw {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly severity?: 'error' | 'warning';
}

/** A text as it was read: what it wants as far as that can be told, and every flaw. */
export interface Reading {
  readonly wanted: readonly Wanted[];
  readonly flaws: readonly Flaw[];
}

/** Largest text: an API description of 48 MiB has more characters once it stands in JSON. */
export const textLimitCharacters = 64 * 1024 * 1024;

/** Reads YAML, or JSON, which may have comments and trailing commas. What is large has API descriptions in it, and is read as plain JSON. */
export async function readText(text: string): Promise<YamlFile> {
  if (text.length > fileLimitBytes) return await readLarge(text);
  if (!looksLikeJson(text)) return await readYamlApart(text, '');
  const plain = blankComments(text);
  return (await readJson(plain)) ?? (await readYamlApart(plain, ''));
}

// A reader of YAML says best what is wrong, and takes a quarter of a second for 200 KB.
async function readJson(text: string): Promise<YamlFile | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const places = await inTurns(findPlaces(text));
  if (places === undefined) return undefined;
  const lines = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
  const locate = (path: readonly PropertyKey[]) => {
    const offset = offsetAt(places, path);
    const line = countUpTo(lines, offset);
    return { file: '', line, column: offset - (lines[line - 1] ?? 0) + 1 };
  };
  return { value, problems: [], locate };
}

/** How many of these, which ascend, are no greater. */
function countUpTo(offsets: readonly number[], offset: number): number {
  let [low, high] = [0, offsets.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A reader that knows where everything stands needs a hundred times the memory.
async function readLarge(text: string): Promise<YamlFile> {
  const locate = () => ({ file: '', line: 1, column: 1 });
  const unreadable = (message: string): YamlFile => ({
    value: undefined,
    problems: [{ file: '', line: 1, column: 1, message }],
    locate,
  });
  if (!looksLikeJson(text))
    return unreadable('A text of more than 1 MiB has to be JSON, without comments: export it with the format "json".');
  try {
    const { value, namesPrototype } = await parseInTurns(text);
    return namesPrototype ? unreadable('A key cannot be named "__proto__"; rename it.') : { value, problems: [], locate };
  } catch (error) {
    if (error instanceof ExcessError) return unreadable(`This cannot be read: it ${error.message}.`);
    if (!(error instanceof SyntaxError)) throw error;
    return unreadable('This is not valid JSON. What is larger than 1 MiB may have no comments and no trailing commas.');
  }
}

const wholeFormat =
  'A configuration is a map of "namespaces", "consumers", "members", "policies", "drafts", "alerts" and "modelPrices".';

export async function readConfiguration(value: unknown): Promise<Reading> {
  if (!isObject(value)) {
    return { wanted: [], flaws: [{ path: [], message: wholeFormat }] };
  }
  const { namespaces, ...rest } = value;
  const parsed = configurationSchema.safeParse(rest, { reportInput: true, jitless: true });
  const flaws = (parsed.error?.issues ?? []).flatMap((issue) => describeIssue(issue, wording));
  const parts = await Promise.all(namespacesOf(namespaces, flaws).map(readNamespace));
  const others = parsed.success ? wantedOf(parsed.data) : [];
  const wanted = [...parts.flatMap((part) => part.wanted), ...others];
  const rules = await Promise.all(others.map(checkPolicy));
  return { wanted, flaws: [...flaws, ...parts.flatMap((part) => part.flaws), ...rules.flat(), ...findRepeated(wanted)] };
}

interface WrittenNamespace {
  readonly path: readonly PropertyKey[];
  readonly value: unknown;
}

function namespacesOf(namespaces: unknown, flaws: Flaw[]): readonly WrittenNamespace[] {
  if (namespaces === undefined || namespaces === null) return [];
  if (Array.isArray(namespaces)) return namespaces.map((value: unknown, at) => ({ path: ['namespaces', at], value }));
  if (!isObject(namespaces)) {
    flaws.push({ path: ['namespaces'], message: '"namespaces" must be a list of namespaces, or a map by their names.' });
    return [];
  }
  return Object.entries(namespaces).map(([namespace, value]) => ({
    path: ['namespaces', namespace],
    // A key that says another name is a flaw like any other.
    value: isObject(value) ? { namespace, ...value } : value,
  }));
}

async function readNamespace({ path, value }: WrittenNamespace): Promise<Reading> {
  const read = readNamespaceFile(value);
  if ('flaws' in read) return { wanted: [], flaws: read.flaws.map((flaw) => ({ ...flaw, path: [...path, ...flaw.path] })) };
  const { file } = read;
  const written = isObject(value) ? value : {};
  const wanted: Wanted[] = [{ kind: 'namespace', id: file.namespace, description: file.description, path }];
  for (const [name, entry] of entriesOf(written.upstreams))
    wanted.push({
      kind: 'upstream',
      id: `${file.namespace}/${name}`,
      namespace: file.namespace,
      name,
      ...(await keepDocument(entry)),
      path: [...path, 'upstreams', name],
    });
  for (const [id, selection] of entriesOf(written.toolboxes))
    wanted.push({ kind: 'toolbox', id, namespace: file.namespace, selection, path: [...path, 'toolboxes', id] });
  if (file.policy !== undefined)
    wanted.push({ kind: 'policy', id: `namespace:${file.namespace}`, policy: file.policy, path: [...path, 'policy'] });
  const rules = await checkRules(file.policy);
  const flaws = rules.map((flaw) => ({ ...flaw, path: [...path, 'policy', ...flaw.path] }));
  const ofModels = (await checkModelRules(file)).map((flaw) => ({ ...flaw, path: [...path, ...flaw.path] }));
  return { wanted, flaws: [...flaws, ...ofModels] };
}

/** Puts what is kept beside an entry beside it. */
async function keepDocument(entry: Entry): Promise<{ readonly entry: Entry; readonly description?: Documents['description'] }> {
  const { document } = entry;
  if (typeof document !== 'string' || keptDigest(document) !== undefined) return { entry };
  const description = await keepDescription(await encodeInTurns(document));
  return { entry: { ...entry, document: keptReference(description.sha256) }, description };
}

function wantedOf(written: z.output<typeof configurationSchema>): readonly Wanted[] {
  const { consumers, members, policies, drafts, alerts, modelPrices } = written;
  return [
    ...Object.entries(consumers ?? {}).map(([id, { isDisabled = false, ...body }]): Wanted => {
      return { kind: 'consumer', id, body: { ...body, isDisabled }, path: ['consumers', id] };
    }),
    ...Object.entries(members ?? {}).map(([id, { identities = [], roles = [], isDisabled = false, ...body }]): Wanted => {
      return { kind: 'member', id, body: { ...body, identities, roles, isDisabled }, path: ['members', id] };
    }),
    ...Object.entries(policies ?? {}).map(([id, policy]): Wanted => ({ kind: 'policy', id, policy, path: ['policies', id] })),
    ...Object.entries(drafts ?? {}).map(([id, { namespace, ...selection }]): Wanted => {
      return { kind: 'draft', id, namespace, selection, path: ['drafts', id] };
    }),
    ...Object.entries(alerts ?? {}).map(([id, body]): Wanted => ({ kind: 'alert', id, body, path: ['alerts', id] })),
    ...(modelPrices ?? []).map((body, at): Wanted => {
      return { kind: 'model-price', id: priceId(body), body, path: ['modelPrices', at] };
    }),
  ];
}

async function checkPolicy(wanted: Wanted): Promise<readonly Flaw[]> {
  if (wanted.kind !== 'policy') return [];
  const { id, path, policy } = wanted;
  const scope = readScope(id);
  const isWhole =
    scope?.kind === 'capability' ? /^[^\s/]+\/[^\s/]+$/.test(scope.capability) : scope !== undefined && id !== 'namespace:';
  if (!isWhole) return [{ path, message: 'A policy is called "global", "namespace:hr" or "capability:hr/find_person".' }];
  return (await checkRules(policy)).map((flaw) => ({ ...flaw, path: [...path, ...flaw.path] }));
}

function findRepeated(wanted: readonly Wanted[]): readonly Flaw[] {
  const seen = new Set<string>();
  return wanted.flatMap(({ kind, id, path }) => {
    const key = `${kind} ${id}`;
    if (!seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [{ path, message: `The ${kind} "${id}" stands here twice; remove one.` }];
  });
}

const wording = {
  whole: wholeFormat,
  unknown: (key: string, path: readonly PropertyKey[]) => {
    const shown = key.slice(0, 64);
    const suggestion = suggestName(shown, keysAt(path));
    return `"${shown}" is not known here${suggestion === '' ? '; remove it.' : `.${suggestion}`}`;
  },
};

/** The keys that the format has at a place. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schema: unknown = configurationSchema;
  for (const step of path) {
    schema = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ? schema.unwrap() : schema;
    if (schema instanceof z.ZodObject) schema = schema.shape[String(step)];
    else if (schema instanceof z.ZodRecord) schema = schema.valueType;
    else if (schema instanceof z.ZodArray) schema = schema.element;
  }
  const place = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
  return place instanceof z.ZodObject ? Object.keys(place.shape) : [];
}

function entriesOf(value: unknown): readonly (readonly [string, Record<string, unknown>])[] {
  return isObject(value) ? Object.entries(value).flatMap(([key, entry]) => (isObject(entry) ? [[key, entry] as const] : [])) : [];
}
