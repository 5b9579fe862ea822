import { z } from 'zod';
import { describeIssue, type Flaw } from '../describe-issue.ts';
import { gateSchema } from '../policy/gate-schema.ts';
import { breakerSchema, policySchema } from '../policy/policy-schema.ts';
import { suggestName } from '../problems.ts';
import { isObject } from '../wire/json.ts';
import { headers, isPlainUrl, milliseconds, secretOnly, secretText, serverUrl, upstreamBreaker } from './entry-fields.ts';
import { checkModel, modelKeys, modelUpstream } from './model-entry.ts';
import { readPattern } from './toolbox-pattern.ts';

// The one definition of the namespace file format: the loader, the JSON Schema for editors and the reference in the docs are
// made from it. Descriptions are read by the person who writes such a file.

/** Of the text of an API description. */
const descriptionLimitCharacters = 32 * 1024 * 1024;
const legalName = /^[a-zA-Z0-9_-]{1,64}$/;

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

const globs = z.array(z.string().min(1).max(256)).max(1000);

const environment = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'The name of an environment variable holds letters, digits and _ only.'),
  secretText.refine((text) => !text.includes('\0'), 'An environment variable cannot hold a NUL character.'),
);

const url = secretText
  .max(2048)
  .refine(
    isPlainUrl,
    `This must be an http or https URL without user, password or fragment. Put credentials into "headers" as \${secret:NAME}.`,
  );

const auth = z
  .strictObject({
    kind: z
      .enum(['client-credentials', 'user'])
      .describe(
        'client-credentials: Gatehouse has a token of its own, the same for all callers. user: every caller signs in with a browser and has a token of their own.',
      ),
    issuer: serverUrl
      .optional()
      .describe(
        'The only authorization server to use, as it names itself. Default for "user": the one that the upstream names; required where there is a secret to send.',
      ),
    tokenUrl: serverUrl
      .optional()
      .describe("For client-credentials: the token endpoint, in place of what the issuer's metadata says."),
    clientId: z
      .string()
      .regex(/^[\x20-\x7e]{1,2048}$/, 'A client id is one line of plain ASCII.')
      .optional()
      .describe(
        'What the authorization server calls Gatehouse. Default for "user": the address of its client metadata document where the server takes one, or what it registers itself as.',
      ),
    clientSecret: secretOnly.optional().describe(`The client secret, as \${secret:NAME}.`),
    privateKey: secretOnly
      .optional()
      .describe(`In place of a client secret: the private key (PKCS #8, PEM) to sign with, as \${secret:NAME}.`),
    clientAuth: z
      .enum(['client_secret_basic', 'client_secret_post'])
      .optional()
      .describe("How the secret is sent. Default: as the server's metadata says, else client_secret_basic."),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'A scope is one word of plain ASCII without quotes.'))
      .max(100)
      .optional()
      .describe('Scopes to ask for. Default for "user": those that the upstream asks for.'),
    resource: serverUrl
      .optional()
      .describe('What the token is for (RFC 8707). Default: what the upstream publishes, else its address.'),
  })
  .describe('How requests to the url are authorized.');

const review = z
  .strictObject({
    changes: z
      .enum(['hold', 'take'])
      .optional()
      .describe(
        'A tool or prompt whose definition is no longer the one that was approved. hold: it is neither listed nor callable until somebody approves the change; take: the new definition counts at once. Default: hold.',
      ),
    additions: z
      .enum(['hold', 'screen', 'take'])
      .optional()
      .describe(
        'One that the upstream did not offer before. hold: it waits for somebody to approve it; screen: it is taken when the assessment finds nothing in it; take: it is taken as it is. Default: screen in a file, hold for what is registered at run time.',
      ),
  })
  .describe('What becomes of definitions that the upstream changes or adds later; what it offers first is taken as seen.');

const mcpUpstream = z
  .strictObject({
    kind: z
      .literal('mcp')
      .describe('What the far end speaks: mcp, openapi for an HTTP API with a description, or model for a model.'),
    title: z.string().min(1).max(200).optional().describe('Name for people.'),
    description: z.string().max(4096).optional().describe('What it is, and who answers for it.'),
    command: z
      .array(
        z
          .string()
          .max(8192)
          .refine(
            (word) => !word.includes('\0') && !word.includes(`\${secret`),
            'A command is visible to every process of the machine; pass a secret through "env" instead.',
          ),
      )
      .min(1)
      .max(256)
      .optional()
      .describe(
        'A program that speaks MCP over stdin and stdout, and its arguments, one item each; no shell is involved. Either this or "url".',
      ),
    env: environment
      .optional()
      .describe(`Environment variables for the command. \${secret:NAME} is replaced by the variable NAME of Gatehouse.`),
    cwd: z
      .string()
      .min(1)
      .max(4096)
      .optional()
      .describe(
        'Directory the command runs in. A relative one starts from the directory that holds the namespaces directory, which is also the default.',
      ),
    url: url
      .optional()
      .describe(
        `Address of an MCP server over HTTP (Streamable HTTP, or the older SSE). Either this or "command". A path or query may hold \${secret:NAME}.`,
      ),
    headers: headers
      .optional()
      .describe(
        `Headers sent with every request to the url. \${secret:NAME} is replaced by the environment variable NAME of Gatehouse.`,
      ),
    auth: auth
      .optional()
      .describe('How requests to the url are authorized with OAuth, where headers that never change are not enough.'),
    era: z
      .enum(['auto', 'modern', 'legacy'])
      .optional()
      .describe(
        'Which generation of MCP it speaks: modern (2026-07-28 and later), legacy (older), or auto to find out. Default: auto.',
      ),
    sessions: z
      .enum(['auto', 'shared', 'each'])
      .optional()
      .describe(
        'shared: one connection for all clients; each: one per client session; auto: shared until the upstream needs more. Default: auto.',
      ),
    timeoutMs: milliseconds
      .optional()
      .describe('Longest silence of a call in milliseconds; progress starts it again. Default: 60000.'),
    maxDurationMs: milliseconds.optional().describe('Longest a call may take in all, in milliseconds. Default: 600000.'),
    concurrency: z.int().min(1).max(100_000).optional().describe('Most calls at the same time. Default: 64.'),
    include: globs
      .min(1)
      .optional()
      .describe("Tools and prompts to take, by the upstream's own names; * stands for any run of characters. Default: all."),
    exclude: globs.optional().describe("Tools and prompts to leave out, by the upstream's own names; wins over include."),
    rename: z
      .record(
        z.string().min(1).max(256),
        z.string().regex(legalName, 'A new name holds letters, digits, _ and - only, at most 64 characters.'),
      )
      .optional()
      .describe("Other names for tools and prompts: the upstream's own name, then the name in this namespace."),
    answerLimitBytes: z
      .int()
      .min(1024)
      .max(1024 ** 3)
      .optional()
      .describe('Largest answer to pass on, in bytes. Default: 16777216.'),
    breaker: upstreamBreaker.optional().describe('When to stop calling an upstream that fails, and for how long.'),
    review: review.optional(),
  })
  .describe('A registered MCP server.');

const argumentName = z.string().min(1).max(256);
const fields = z.array(z.string().min(1).max(512)).max(500);

const credential = z
  .union([
    secretOnly,
    z.strictObject({
      username: secretText.max(1024).describe('May be a secret, too.'),
      password: secretOnly.describe(`As \${secret:NAME}.`),
    }),
    auth,
  ])
  .describe(
    `What to show for one security scheme: a key or token as \${secret:NAME}, "username" and "password", or what OAuth needs ("kind": client-credentials or user).`,
  );

const operations = z
  .array(z.string().min(1).max(512))
  .max(1000)
  .describe(
    'Operations: "GET /pets/*" (method and path), "GET", "/pets/*", "tag:pets" or an operationId; * stands for any run of characters.',
  );

const apiUpstream = z
  .strictObject({
    kind: z.literal('openapi').describe('An HTTP API with an OpenAPI or Swagger description: its operations become tools.'),
    title: z.string().min(1).max(200).optional().describe('Name for people.'),
    description: z.string().max(4096).optional().describe('What it is, and who answers for it.'),
    import: z
      .string()
      .regex(
        /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
        'This is the name of a file without its ending: letters, digits, ".", "_" and "-".',
      )
      .optional()
      .describe('Its description: the file of this name (.yaml, .yml or .json) in the directory of API descriptions.'),
    document: z
      .string()
      .min(1)
      .max(descriptionLimitCharacters, 'An API description has at most 32 MiB.')
      .optional()
      .describe('Its description as text, where it is registered at run time; a file names one with "import".'),
    baseUrl: serverUrl
      .optional()
      .describe('Where the API is. Default: the first server that its description names, if that is a whole address.'),
    headers: headers.optional().describe(`Headers sent with every request. \${secret:NAME} is replaced.`),
    auth: z
      .record(z.string().min(1).max(256), credential)
      .optional()
      .describe('Credentials by the name that the description gives to a security scheme.'),
    include: operations
      .min(1)
      .optional()
      .describe('Operations to take: "GET /pets/*", "GET", "tag:pets", operationIds. Default: all.'),
    exclude: operations.optional().describe('Operations to leave out, written as include is; wins over include.'),
    references: z
      .array(serverUrl)
      .max(20)
      .optional()
      .describe(
        'Addresses from which other documents may be fetched that the description refers to: each, and what lies below it. Default: none.',
      ),
    rename: z
      .record(
        z.string().min(1).max(512),
        z.string().regex(legalName, 'A new name holds letters, digits, _ and - only, at most 64 characters.'),
      )
      .optional()
      .describe('Other names for tools: "GET /pets", an operationId or the name it would have, then the name in this namespace.'),
    defaults: z
      .record(argumentName, z.json())
      .optional()
      .describe('Values for arguments that a caller leaves out, by the name of the argument.'),
    answer: z
      .strictObject({
        select: fields
          .min(1)
          .optional()
          .describe(
            'The only fields of an answer to pass on, e.g. "id" or "owner.login"; lists are looked into, * stands for any run of characters.',
          ),
        trim: fields.optional().describe('Fields of an answer to leave out, written as select is.'),
        maxItems: z
          .int()
          .min(1)
          .max(1_000_000)
          .optional()
          .describe('Most items of any list in an answer; a note says how many there were.'),
        limitBytes: z
          .int()
          .min(256)
          .max(1024 ** 3)
          .optional()
          .describe('Most bytes of an answer that a caller is given; longer lists and texts are cut, and a note says so.'),
      })
      .optional()
      .describe('What of an answer is passed on. Default: all of it.'),
    timeoutMs: milliseconds.optional().describe('Longest time a call may take, in milliseconds. Default: 60000.'),
    maxDurationMs: milliseconds.optional().describe('Longest a call may take in all, in milliseconds. Default: 600000.'),
    concurrency: z.int().min(1).max(100_000).optional().describe('Most calls at the same time. Default: 64.'),
    answerLimitBytes: z
      .int()
      .min(1024)
      .max(1024 ** 3)
      .optional()
      .describe('Largest answer to read, in bytes; a larger one is an error. Default: 16777216.'),
    breaker: upstreamBreaker.optional().describe('When to stop calling an upstream that fails, and for how long.'),
    review: review.optional(),
  })
  .describe('A registered HTTP API.');

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

/** What is wrong with one entry of a file; `path` leads to it. */

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
    return upstream.kind === undefined || upstream.kind === 'mcp' ? checkUpstream(['upstreams', name], upstream) : [];
  });
}

function checkApi(path: readonly string[], upstream: Readonly<Record<string, unknown>>): Flaw[] {
  const flaws: Flaw[] = [...checkDurations(path, upstream), ...checkRename(path, upstream)];
  if (upstream.import === undefined && upstream.document === undefined)
    flaws.push({ path, message: 'An API needs its description: add "import" with the name of its file.' });
  if (upstream.import !== undefined && upstream.document !== undefined)
    flaws.push({ path: [...path, 'document'], message: 'There is either "import" or "document"; remove one.' });
  const schemes = Object.entries(isObject(upstream.auth) ? upstream.auth : {});
  const oauth = schemes.filter(([, given]) => isObject(given) && given.kind !== undefined);
  for (const [name, given] of oauth) {
    const place = [...path, 'auth', name];
    if (isObject(given)) flaws.push(...checkAuth(place, given, upstream));
    // What an API is protected by, it rarely publishes itself.
    if (isObject(given) && given.kind === 'user' && given.issuer === undefined)
      flaws.push({ path: place, message: 'An API does not say where its callers sign in; add "issuer".' });
    if (isObject(given) && given.kind === 'user' && upstream.baseUrl === undefined)
      flaws.push({ path: place, message: 'Tokens of callers are for one address; add "baseUrl" to the upstream.' });
  }
  for (const [name] of oauth.slice(1))
    flaws.push({
      path: [...path, 'auth', name],
      message: 'One scheme of an API may use OAuth; declare the API once more for another.',
    });
  return flaws;
}

function checkUpstream(path: readonly string[], upstream: Readonly<Record<string, unknown>>): Flaw[] {
  const flaws: Flaw[] = [];
  const { command, url } = upstream;
  if (command === undefined && url === undefined)
    flaws.push({ path, message: 'An upstream needs either "command" or "url"; add one.' });
  if (command !== undefined && url !== undefined)
    flaws.push({ path: [...path, 'url'], message: 'An upstream has either "command" or "url"; remove one.' });
  for (const [key, owner, isOwned] of [
    ['env', 'command', command !== undefined],
    ['cwd', 'command', command !== undefined],
    ['headers', 'url', url !== undefined],
    ['auth', 'url', url !== undefined],
  ] as const) {
    if (upstream[key] !== undefined && !isOwned)
      flaws.push({ path: [...path, key], message: `"${key}" goes with "${owner}" only; remove it.` });
  }
  flaws.push(...checkDurations(path, upstream));
  if (isObject(upstream.auth)) flaws.push(...checkAuth([...path, 'auth'], upstream.auth, upstream));
  return [...flaws, ...checkRename(path, upstream)];
}

function checkDurations(path: readonly string[], { timeoutMs, maxDurationMs }: Readonly<Record<string, unknown>>): Flaw[] {
  if (typeof timeoutMs !== 'number' || typeof maxDurationMs !== 'number' || maxDurationMs >= timeoutMs) return [];
  const message = '"maxDurationMs" is shorter than "timeoutMs"; a call would never time out by silence. Raise it.';
  return [{ path: [...path, 'maxDurationMs'], message }];
}

function checkRename(path: readonly string[], { rename }: Readonly<Record<string, unknown>>): Flaw[] {
  const seen = new Map<unknown, string>();
  return Object.entries(isObject(rename) ? rename : {}).flatMap(([from, to]) => {
    const other = seen.get(to);
    seen.set(to, from);
    if (other === undefined) return [];
    return [{ path: [...path, 'rename', from], message: `"${from}" and "${other}" get the same name; give each its own.` }];
  });
}

function checkAuth(
  path: readonly string[],
  auth: Readonly<Record<string, unknown>>,
  { headers, sessions }: Readonly<Record<string, unknown>>,
): Flaw[] {
  const flaws: Flaw[] = [];
  const { kind, issuer, tokenUrl, clientId, clientSecret, privateKey } = auth;
  const has = (value: unknown) => value !== undefined;
  const flaw = (key: string, message: string) => flaws.push({ path: key === '' ? path : [...path, key], message });
  if (kind === 'client-credentials') {
    if (!has(issuer) && !has(tokenUrl))
      flaw('', 'Client credentials need "issuer" or "tokenUrl", to say where the token comes from; add one.');
    if (!has(clientId)) flaw('', 'Client credentials need "clientId"; add it.');
    if (!has(clientSecret) && !has(privateKey)) flaw('', 'Client credentials need "clientSecret" or "privateKey"; add one.');
  } else if (kind === 'user') {
    if (has(tokenUrl)) flaw('tokenUrl', '"tokenUrl" goes with client-credentials only; write "issuer".');
    // The upstream's metadata may name any server: a secret goes to the one that its owner meant.
    if ((has(clientSecret) || has(privateKey)) && !has(issuer))
      flaw('', 'A client secret or private key is for one authorization server; add "issuer", so that no other one gets it.');
    if (sessions === 'shared') flaw('kind', 'With "user" no session is shared between callers; remove "sessions: shared".');
  }
  if (has(clientSecret) && has(privateKey)) flaw('privateKey', 'There is either "clientSecret" or "privateKey"; remove one.');
  if ((has(clientSecret) || has(privateKey)) && !has(clientId))
    flaw('', 'A client secret or private key needs its "clientId"; add it.');
  const fixed = Object.keys(isObject(headers) ? headers : {}).find((name) => name.toLowerCase() === 'authorization');
  if (fixed !== undefined) flaw('', `The header "${fixed}" says the same as "auth"; remove one of them.`);
  return flaws;
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
