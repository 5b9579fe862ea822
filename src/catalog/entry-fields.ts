import { z } from 'zod';
import type { Flaw } from '../describe-issue.ts';
import { breakerSchema } from '../policy/policy-schema.ts';
import { checkSecretReferences, secretNames } from '../secrets.ts';
import { isObject } from '../wire/json.ts';

// What entries of several kinds of upstream have in common.

const longestMs = 24 * 60 * 60 * 1000;
export const milliseconds = z.int().min(1).max(longestMs);
/** Room for one answer. */
export const answerBytes = z
  .int()
  .min(1024)
  .max(1024 ** 3);

/** Text into which secrets may be put. The check never repeats the text: it may hold one written out. */
export const secretText = z.string().superRefine((text, context) => {
  const complaint = checkSecretReferences(text);
  if (complaint !== undefined)
    context.addIssue({ code: 'custom', message: `${complaint.charAt(0).toUpperCase()}${complaint.slice(1)}` });
});

// Set by Gatehouse itself or by HTTP: a configured one would break the connection or speak for the caller.
const ownHeaders =
  /^(host|connection|content-length|content-type|transfer-encoding|te|trailer|upgrade|keep-alive|expect|accept|accept-encoding|last-event-id|mcp-.*|proxy-.*|x-gatehouse-hop)$/i;

export const headers = z.record(
  z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'A header name holds letters, digits and - only.')
    .refine((name) => !ownHeaders.test(name), 'This header is set by Gatehouse itself; remove it.'),
  secretText.regex(/^[\t\x20-\x7e]*$/, 'A header value is one line of plain ASCII.'),
);

// A secret may stand in the path or the query, where some services want it, but never decide where a call goes.
export function isPlainUrl(text: string): boolean {
  const filled = text.replaceAll(/\$\{secret:[^}]*\}/g, 'secret');
  if (!URL.canParse(filled)) return false;
  const { protocol, username, password, hash } = new URL(filled);
  const isOpen = secretNames(/^[a-z]+:\/\/[^/?#]*/i.exec(text)?.[0] ?? text).length === 0;
  return isOpen && (protocol === 'http:' || protocol === 'https:') && username === '' && password === '' && hash === '';
}

export const serverUrl = z
  .string()
  .max(2048)
  .refine(
    (text) => !text.includes(`\${secret`) && isPlainUrl(text),
    'This must be an http or https URL without user, password, fragment and secrets.',
  );

/** A secret is referred to and never written out. */
export const secretOnly = z
  .string()
  .regex(/^\$\{secret:[^}]*\}$/, `Write it as \${secret:NAME}: a secret itself does not belong here.`)
  .pipe(secretText);

// What is in rows of their own, per capability, belongs to policies.
export const upstreamBreaker = breakerSchema.pick({ errorRate: true, minimumCalls: true, windowMs: true, openMs: true });

/** Of a tool, for every client. */
export const legalName = /^[a-zA-Z0-9_-]{1,64}$/;

export const review = z
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

export function checkDurations(path: readonly string[], { timeoutMs, maxDurationMs }: Readonly<Record<string, unknown>>): Flaw[] {
  if (typeof timeoutMs !== 'number' || typeof maxDurationMs !== 'number' || maxDurationMs >= timeoutMs) return [];
  const message = '"maxDurationMs" is shorter than "timeoutMs"; a call would never time out by silence. Raise it.';
  return [{ path: [...path, 'maxDurationMs'], message }];
}

export function checkRename(path: readonly string[], { rename }: Readonly<Record<string, unknown>>): Flaw[] {
  const seen = new Map<unknown, string>();
  return Object.entries(isObject(rename) ? rename : {}).flatMap(([from, to]) => {
    const other = seen.get(to);
    seen.set(to, from);
    if (other === undefined) return [];
    return [{ path: [...path, 'rename', from], message: `"${from}" and "${other}" get the same name; give each its own.` }];
  });
}
