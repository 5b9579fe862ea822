import { z } from 'zod';
import type { Flaw } from '../describe-issue.ts';
import { isObject } from '../wire/json.ts';
import { auth, checkAuth } from './auth-entry.ts';
import {
  answerBytes,
  checkDurations,
  checkRename,
  headers,
  isPlainUrl,
  legalName,
  milliseconds,
  review,
  secretText,
  upstreamBreaker,
} from './entry-fields.ts';

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

export const mcpUpstream = z
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
    answerLimitBytes: answerBytes.optional().describe('Largest answer to pass on, in bytes. Default: 16777216.'),
    breaker: upstreamBreaker.optional().describe('When to stop calling an upstream that fails, and for how long.'),
    review: review.optional(),
  })
  .describe('A registered MCP server.');

export function checkMcp(path: readonly string[], upstream: Readonly<Record<string, unknown>>): Flaw[] {
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
