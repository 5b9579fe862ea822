import { z } from 'zod';
import { breakerSchema } from '../policy/policy-schema.ts';
import { checkSecretReferences, secretNames } from '../secrets.ts';

// What entries of several kinds of upstream have in common.

const longestMs = 24 * 60 * 60 * 1000;
export const milliseconds = z.int().min(1).max(longestMs);

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
  .regex(/^\$\{secret:[^}]*\}$/, `Write it as \${secret:NAME}: a secret does not belong into this file.`)
  .pipe(secretText);

// What is in rows of their own, per capability, belongs to policies.
export const upstreamBreaker = breakerSchema.pick({ errorRate: true, minimumCalls: true, windowMs: true, openMs: true });
