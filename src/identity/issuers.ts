import { z } from 'zod';
import { describeIssue, type Flaw } from '../describe-issue.ts';
import { isOpenUrl } from '../open-url.ts';
import { suggestName } from '../problems.ts';

// The one definition of `issuers` in gatehouse.yaml. Descriptions are read by the person who writes it.

/** Somebody whose tokens are taken, and what their claims mean here. */
export interface TrustedIssuer {
  /** Exactly as tokens have it in `iss`: a slash at the end makes another issuer. */
  readonly issuer: string;
  /** What `aud` has to name. Undefined: the address of the toolbox that is called, or of the whole gateway (RFC 8707). */
  readonly audiences: ReadonlySet<string> | undefined;
  readonly algorithms: readonly Algorithm[];
  /** Undefined: the issuer's own metadata says where its keys are. */
  readonly jwksUrl: string | undefined;
  readonly claims: ClaimRules;
  readonly clockToleranceMs: number;
  readonly maxTokenAgeMs: number;
}

export interface ClaimRules {
  readonly member: { readonly kind: 'subject' | 'email' } | ClaimRule | undefined;
  /** Whether somebody whom their token does not name may come, by their `sub` and their roles. */
  readonly takesNameless: boolean;
  readonly consumer: { readonly kind: 'fixed'; readonly name: string } | ClaimRule | undefined;
  readonly roles: readonly RoleRule[];
  /** What each scope reaches. Undefined: scopes mean nothing here, and the token's audience alone is its limit. */
  readonly scopes: ReadonlyMap<string, Reach> | undefined;
}

interface ClaimRule {
  readonly kind: 'claim';
  /** Names of nested objects, the claim's own last. */
  readonly path: readonly string[];
}

interface RoleRule {
  readonly path: readonly string[];
  readonly values: ReadonlySet<string>;
  readonly grant: RoleGrant;
}

export interface RoleGrant {
  readonly role: Role;
  /** Undefined: everywhere. */
  readonly namespace: string | undefined;
}

/** What may be called: everything, or only what these toolboxes and namespaces hold. */
export type Reach = 'all' | { readonly toolboxes: ReadonlySet<string>; readonly namespaces: ReadonlySet<string> };

const roles = ['admin', 'approver', 'developer', 'auditor'] as const;
export type Role = (typeof roles)[number];

// What an issuer signs with a private key. Shared secrets (HS*) and "none" can be told from these by nobody who checks a list.
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const;
type Algorithm = (typeof algorithms)[number];
const usualAlgorithms: readonly Algorithm[] = ['RS256', 'ES256', 'EdDSA', 'PS256'];

const dayMs = 24 * 60 * 60 * 1000;

const claimName = z.string().min(1).max(256);
const claimPath = z.union([claimName, z.array(claimName).min(1).max(8)], {
  error: 'A claim is named by text, e.g. groups or realm_access.roles, or by a list of the names to follow.',
});
const someText = z.string().min(1).max(256);
const namespaceName = z.string().regex(/^[a-z][a-z0-9-]{0,23}$/, 'This is not the name of a namespace.');
const toolboxName = z.string().regex(/^[a-z][a-z0-9-]{0,39}$/, 'This is not the name of a toolbox.');

const roleRule = z.strictObject({
  claim: claimPath.describe('The claim to look into.'),
  value: someText.optional().describe('The value that gives the role. Either this or "values".'),
  values: z.array(someText).min(1).max(100).optional().describe('Values of which each gives the role.'),
  role: z.enum(roles),
  namespace: namespaceName.optional().describe('Where the role counts. Default: everywhere.'),
});

const reach = z.strictObject({
  toolboxes: z.array(toolboxName).max(1000).optional(),
  namespaces: z.array(namespaceName).max(1000).optional(),
});

const scopeName = z
  .string()
  // RFC 6749 section 3.3.
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, 'A scope is one word of plain ASCII without quotes and backslashes.')
  .refine((name) => name !== 'offline_access', '"offline_access" asks for a refresh token and is no right; remove it.');

const claims = z.strictObject({
  member: claimPath.optional().describe('The person: "sub", "email" (only if the issuer says it is verified) or a claim.'),
  nameless: z
    .enum(['roles', 'refuse'], { error: '"nameless" is "roles" or "refuse".' })
    .optional()
    .describe(
      'Tokens of people that do not say the name that "member" asks for: what their roles say, or refused. Default: roles.',
    ),
  consumer: z
    .union([claimPath, z.strictObject({ fixed: someText })], {
      error: 'A consumer is a claim, e.g. azp, or { fixed: name }.',
    })
    .optional()
    .describe('The team or application that pays for the call.'),
  roles: z.array(roleRule).max(200).optional(),
  scopes: z
    .record(
      scopeName,
      z.union([z.literal('all'), reach], { error: 'A scope reaches "all" or { toolboxes: [...], namespaces: [...] }.' }),
    )
    .optional()
    .describe('What each scope reaches. When left out, the audience of a token is its limit.'),
});

const issuerSchema = z.strictObject({
  issuer: z
    .string()
    .max(512)
    .refine(
      (text) => isOpenUrl(text) && !/[?#\s]/.test(text),
      'An issuer is an https address without query, user or password, exactly as its tokens have it in "iss"; http is for loopback only.',
    ),
  audience: z
    .union([someText, z.array(someText).min(1).max(20)], { error: 'An audience is text, or a list of texts.' })
    .optional()
    .describe('What "aud" has to name. Default: the address of the toolbox, or of the gateway.'),
  algorithms: z
    .array(
      z.enum(algorithms, {
        error: `An algorithm is one of ${algorithms.join(', ')}; a shared secret (HS*) or "none" is never taken.`,
      }),
    )
    .min(1)
    .optional()
    .describe('How its tokens may be signed. Default: RS256, ES256, EdDSA, PS256.'),
  jwksUrl: z
    .string()
    .max(2048)
    .refine(
      (text) => isOpenUrl(text) && !/[#\s]/.test(text),
      'Keys are fetched from an https address without user or password; http is for loopback only.',
    )
    .optional()
    .describe("Where the issuer's keys are. Default: what its metadata says."),
  claims: claims.optional(),
  clockToleranceMs: z.int().min(0).max(300_000).optional().describe('How far the clocks may differ. Default: 30000.'),
  maxTokenAgeMs: z
    .int()
    .min(1000)
    .max(90 * dayMs)
    .optional()
    .describe('How long ago a token may have been issued. Default: 86400000.'),
});

const issuersSchema = z.array(issuerSchema).max(100);

/** The issuers as an operator wrote them, or everything that is wrong with them. */
export function readIssuers(value: unknown): { readonly value: readonly TrustedIssuer[] } | { readonly flaws: readonly Flaw[] } {
  const parsed = issuersSchema.safeParse(value, { reportInput: true });
  const flaws = [...(parsed.error?.issues.flatMap((issue) => describeIssue(issue, wording)) ?? []), ...checkBetweenFields(value)];
  if (!parsed.success || flaws.length > 0) return { flaws };
  return { value: Object.freeze(parsed.data.map(completeIssuer)) };
}

function completeIssuer(given: z.infer<typeof issuerSchema>): TrustedIssuer {
  const { issuer, audience, jwksUrl, claims = {} } = given;
  return Object.freeze({
    issuer,
    audiences: audience === undefined ? undefined : new Set([audience].flat()),
    algorithms: Object.freeze(given.algorithms ?? usualAlgorithms),
    jwksUrl,
    claims: Object.freeze({
      member: completeMember(claims.member),
      takesNameless: claims.nameless !== 'refuse',
      consumer: completeConsumer(claims.consumer),
      roles: Object.freeze((claims.roles ?? []).map(completeRole)),
      scopes: completeScopes(claims.scopes),
    }),
    clockToleranceMs: given.clockToleranceMs ?? 30_000,
    maxTokenAgeMs: given.maxTokenAgeMs ?? dayMs,
  });
}

type GivenClaims = z.infer<typeof claims>;

function completeMember(member: GivenClaims['member']): ClaimRules['member'] {
  if (member === undefined) return undefined;
  if (member === 'sub') return { kind: 'subject' };
  return member === 'email' ? { kind: 'email' } : { kind: 'claim', path: pathOf(member) };
}

function completeConsumer(consumer: GivenClaims['consumer']): ClaimRules['consumer'] {
  if (consumer === undefined) return undefined;
  if (typeof consumer === 'object' && 'fixed' in consumer) return { kind: 'fixed', name: consumer.fixed };
  return { kind: 'claim', path: pathOf(consumer) };
}

function completeRole({ claim, value, values = [], role, namespace }: z.infer<typeof roleRule>): RoleRule {
  const grant = Object.freeze({ role, namespace });
  return { path: pathOf(claim), values: new Set(value === undefined ? values : [value]), grant };
}

function completeScopes(scopes: GivenClaims['scopes']): ClaimRules['scopes'] {
  if (scopes === undefined) return undefined;
  return new Map(
    Object.entries(scopes).map(([name, given]) => [
      name,
      given === 'all' ? given : { toolboxes: new Set(given.toolboxes), namespaces: new Set(given.namespaces) },
    ]),
  );
}

// Claims that are named by an address (https://example.com/roles) have dots of their own.
function pathOf(claim: string | readonly string[]): readonly string[] {
  if (typeof claim !== 'string') return claim;
  return /[:/]/.test(claim) ? [claim] : claim.split('.');
}

// Rules between fields. They look at the value as written, so that a slip in one field does not hide them.
function checkBetweenFields(value: unknown): Flaw[] {
  const flaws: Flaw[] = [];
  const seen = new Set<unknown>();
  for (const [index, entry] of listOf(value).entries()) {
    const { issuer, claims } = fieldsOf(entry);
    if (issuer !== undefined && seen.has(issuer))
      flaws.push({ path: [index, 'issuer'], message: 'This issuer is listed twice; put its rules into one entry.' });
    seen.add(issuer);
    for (const [at, rule] of listOf(fieldsOf(claims).roles).entries()) {
      const { value, values } = fieldsOf(rule);
      if ((value === undefined) === (values === undefined))
        flaws.push({ path: [index, 'claims', 'roles', at], message: 'A rule for a role has either "value" or "values".' });
    }
    for (const [name, reach] of Object.entries(fieldsOf(fieldsOf(claims).scopes))) {
      if (typeof reach === 'object' && [fieldsOf(reach).toolboxes, fieldsOf(reach).namespaces].flatMap(listOf).length === 0)
        flaws.push({
          path: [index, 'claims', 'scopes', name],
          message: `The scope "${name}" reaches nothing; remove it, or say what.`,
        });
    }
  }
  return flaws;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

const wording = {
  whole: '"issuers" must be a list; begin each issuer with "- issuer: https://...".',
  unknown: describeUnknown,
  special: (issue: z.core.$ZodIssue) => {
    if (issue.code === 'invalid_value' && issue.path.at(-2) === 'algorithms') return issue.message;
    // All numbers here are durations.
    const isNumber = issue.code === 'invalid_type' && issue.expected === 'number' && issue.input !== undefined;
    return isNumber ? `"${String(issue.path.at(-1))}" must be a whole number.` : undefined;
  },
};

function describeUnknown(key: string, path: readonly PropertyKey[]): string {
  const known = Object.keys(shapeAt(path));
  return `"${key}" is not known here.${suggestName(key, known) || ` Known are ${known.join(', ')}.`}`;
}

function shapeAt(path: readonly PropertyKey[]): object {
  if (path.length === 1) return issuerSchema.shape;
  if (path.length === 2) return claims.shape;
  return path[2] === 'roles' ? roleRule.shape : path[2] === 'scopes' ? reach.shape : { fixed: 0 };
}
