import { z } from 'zod';
import type { Flaw } from '../describe-issue.ts';
import { descriptionLimitBytes } from '../upstreams/upstream.ts';
import { isObject } from '../wire/json.ts';
import { auth, checkAuth } from './auth-entry.ts';
import {
  answerBytes,
  checkDurations,
  checkRename,
  headers,
  legalName,
  milliseconds,
  review,
  secretOnly,
  secretText,
  serverUrl,
  upstreamBreaker,
} from './entry-fields.ts';

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

export const apiUpstream = z
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
      .max(descriptionLimitBytes, 'An API description has at most 48 MiB.')
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
    answerLimitBytes: answerBytes
      .optional()
      .describe('Largest answer to read, in bytes; a larger one is an error. Default: 16777216.'),
    breaker: upstreamBreaker.optional().describe('When to stop calling an upstream that fails, and for how long.'),
    review: review.optional(),
  })
  .describe('A registered HTTP API.');

export function checkApi(path: readonly string[], upstream: Readonly<Record<string, unknown>>): Flaw[] {
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
