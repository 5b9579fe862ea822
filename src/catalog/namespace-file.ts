import { z } from 'zod';
import { describeIssue, type Flaw } from '../describe-issue.ts';
import { gateSchema } from '../policy/gate-schema.ts';
import { breakerSchema, policySchema } from '../policy/policy-schema.ts';
import { suggestName } from '../problems.ts';
import { isObject } from '../wire/json.ts';
import { auth } from './auth-entry.ts';
import { checkDurations, upstreamBreaker } from './entry-fields.ts';
import { checkMcp, mcpUpstream } from './mcp-entry.ts';
import { checkModel, modelKeys, modelUpstream } from './model-entry.ts';
import { apiUpstream, checkApi } from './openapi-entry.ts';
import { readPattern } from './toolbox-pattern.ts';

// The one definition of the namespace file format: the loader, the JSON Schema for editors and the reference in the docs are
// made from it. Descriptions are read by the person who writes such a file.

function nameOf(longest: number, what: string) {
  return z
    .string()
    .regex(
      new RegExp(`^[a-z][a-z0-9-]{0,${longest - 1}}$`),
      `${what} is named with lower-case letters, digits and -, starts with a letter and has at most ${longest} characters.`,
    );
}

const namespaceName = nameOf(24, 'A namespace').refine((name) => name !== 'admin' && name !== 'gatehouse', {
  error: ({ input }) => `The namespace "${input}" belongs to Gatehouse; choose another.`,
});
const upstreamName = nameOf(32, 'An upstream');
const toolboxName = nameOf(40, 'A toolbox').refine(
  (name) => name !== 'admin',
  'The toolbox name "admin" belongs to Gatehouse; choose another.',
);

const upstream = z.discriminatedUnion('kind', [mcpUpstream, apiUpstream, modelUpstream]);

const pattern = z
  .string()
  .max(256)
  .refine((text) => readPattern(text) !== undefined, 'Write "namespace", "namespace/name*" or "namespace/upstream/name*".');

const toolbox = z
  .strictObject({
    title: z.string().min(1).max(200).optional().describe('Name for people.'),
    description: z.string().max(4096).optional().describe('What it is for.'),
    include: z
      .array(pattern)
      .min(1)
      .max(1000)
      .describe(
        'What is in it: "namespace" or "namespace/*" (all of it), "namespace/name*" (tools and prompts by name), "namespace/upstream/*" (all of one upstream). Resources come with the forms that take all.',
      ),
    exclude: z.array(pattern).max(1000).optional().describe('What is not in it, written as include is; wins over include.'),
    names: z
      .enum(['prefixed', 'one-to-one'])
      .optional()
      .describe(
        "prefixed: names are <namespace>__<name>. one-to-one: the upstream's own names and URIs, as if connected to it directly; for toolboxes of one upstream. Default: prefixed.",
      ),
    search: z
      .union([z.boolean(), z.literal('auto')], 'Write true, false or auto.')
      .optional()
      .describe(
        'true: clients are shown search_tools and call_tool in place of all its tools. false: the whole list. auto: a search where the list is longer than about 20,000 tokens. Default: auto.',
      ),
    pinned: z
      .array(pattern)
      .max(100)
      .optional()
      .describe(
        'Tools that are listed beside the search, written as include is: those that are used in nearly every conversation.',
      ),
  })
  .describe('A selection of tools, prompts and resources with an MCP address of its own, /mcp/<name>.');

export const namespaceFileSchema = z
  .strictObject({
    namespace: namespaceName.describe('Name of the namespace; the first part of every tool name.'),
    description: z.string().max(4096).optional().describe('What this business domain is.'),
    upstreams: z
      .record(upstreamName, upstream)
      .optional()
      .describe('Upstreams by name. Where two offer the same name, the one declared first has it.'),
    toolboxes: z.record(toolboxName, toolbox).optional().describe('Toolboxes by name; a name is used once in all files.'),
    policy: policySchema.optional().describe('What holds the calls to everything in this namespace.'),
  })
  .describe('A Gatehouse namespace.');

export type NamespaceFile = z.output<typeof namespaceFileSchema>;

/** The format as JSON Schema, for editors. */
export function namespaceJsonSchema(): object {
  return z.toJSONSchema(namespaceFileSchema, { io: 'input' });
}

/** Checks one file's value. Every flaw at once. */
export function readNamespaceFile(value: unknown): { readonly file: NamespaceFile } | { readonly flaws: readonly Flaw[] } {
  // A compiled parser pays off in the thousands; a file is read once.
  const parsed = namespaceFileSchema.safeParse(value, { reportInput: true, jitless: true });
  const flaws = [...(parsed.error?.issues ?? []).flatMap((issue) => describeIssue(issue, wording)), ...checkUpstreams(value)];
  return parsed.success && flaws.length === 0 ? { file: parsed.data } : { flaws };
}

// Rules between fields. They look at the value as written, so that a slip in one field does not hide them.
function checkUpstreams(value: unknown): Flaw[] {
  const upstreams = isObject(value) && isObject(value.upstreams) ? value.upstreams : {};
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    if (!isObject(upstream)) return [];
    if (upstream.kind === 'openapi') return checkApi(['upstreams', name], upstream);
    if (upstream.kind === 'model')
      return [...checkDurations(['upstreams', name], upstream), ...checkModel(['upstreams', name], upstream)];
    return upstream.kind === undefined || upstream.kind === 'mcp' ? checkMcp(['upstreams', name], upstream) : [];
  });
}

/** Keys that the format will have: a file for a later version should not be told about spelling. */
const laterKeys = new Set(['models', 'agents', 'audit']);

const wording = {
  whole: 'A namespace file is a map that begins with "namespace: name".',
  unknown: (key: string, path: readonly PropertyKey[], input: unknown) => describeUnknown(key, path, kindOf(input)),
  union: describeUnion,
};

function describeUnion({ path, input, errors, message }: z.core.$ZodIssueInvalidUnion): Flaw[] {
  if (errors.length > 0 && !path.includes('auth')) return [{ path, message }];
  const written = isObject(input) ? input : {};
  // Without any: no kind fits.
  if (errors.length === 0) {
    const kinds = [mcpUpstream, apiUpstream, modelUpstream].map(({ shape }) => shape.kind.value);
    const { kind } = written;
    const place = path.at(-1) === 'kind' ? path : [...path, 'kind'];
    if (kind === undefined)
      return [{ path: place, message: `"kind" is missing; add it: ${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1)}.` }];
    const suggestion = typeof kind === 'string' ? suggestName(kind, kinds) : '';
    return [{ path: place, message: `"kind" must be one of ${kinds.join(', ')}.${suggestion}` }];
  }
  // What was meant shows in what is there.
  const meant =
    typeof input === 'string' ? 0 : written.kind !== undefined ? 2 : 'password' in written || 'username' in written ? 1 : -1;
  const issues = errors[meant];
  if (issues !== undefined)
    return issues.flatMap((issue) => describeIssue({ ...issue, path: [...path, ...issue.path] }, wording));
  const credentials = `Write a key or token as \${secret:NAME}, a "username" and a "password", or what OAuth needs with its "kind".`;
  return [{ path, message: credentials }];
}

function kindOf(input: unknown): unknown {
  return isObject(input) ? input.kind : undefined;
}

function describeUnknown(key: string, path: readonly PropertyKey[], kind: unknown): string {
  if (laterKeys.has(key)) return `"${key}" is not supported by this version of Gatehouse; remove it.`;
  return `"${key}" is not known here.${suggestName(key, knownKeys(path, kind)) || ` Known are ${knownKeys(path, kind).join(', ')}.`}`;
}

function knownKeys(path: readonly PropertyKey[], kind?: unknown): string[] {
  const ofModel = path[0] === 'upstreams' && (kind === 'model' || path.length > 2) ? modelKeys(path) : undefined;
  if (ofModel !== undefined) return ofModel;
  if (path.at(-1) === 'breaker') return Object.keys((path[0] === 'policy' ? breakerSchema : upstreamBreaker).shape);
  if (path.at(-2) === 'gates') return Object.keys(gateSchema.shape);
  if (path.at(-1) === 'auth' || path.at(-2) === 'auth') return Object.keys(auth.shape);
  if (path.at(-1) === 'answer') return Object.keys(apiUpstream.shape.answer.unwrap().shape);
  if (path.length === 2 && path[0] === 'upstreams') return Object.keys((kind === 'openapi' ? apiUpstream : mcpUpstream).shape);
  if (path.length === 2) return Object.keys(toolbox.shape);
  return Object.keys((path.length === 1 ? policySchema : namespaceFileSchema).shape);
}
