import { z } from 'zod';
import { readNamespaceFile } from '../catalog/namespace-file.ts';
import { priceSchema } from '../models/price-schema.ts';
import { limitsSchema } from '../policy/limit-rules.ts';
import { networkSchema, policySchema } from '../policy/policy-schema.ts';
import { mostHolders } from './holders.ts';
import { type PinDocument, readPin } from './pin-document.ts';

// What is kept of everything that is registered at run time, by kind. Actions check what they are given against these before they
// commit it, and what is loaded is read by them again: a row that somebody edited by hand gives no right it could not have been given.

const time = z.int().min(0);
const title = z.string().min(1).max(200);
/** Of consumers, members and keys: what stands in records, limits and addresses. */
export const idSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    'Use lower-case letters, digits, ".", "_" and "-", at most 63, the first a letter or digit.',
  );
export const namespaceNameSchema = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,23}$/,
    'A namespace is named with lower-case letters, digits and -, starts with a letter and has at most 24.',
  );
export const toolboxNameSchema = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,39}$/,
    'A toolbox is named with lower-case letters, digits and -, starts with a letter and has at most 40.',
  );
const toolboxOrVersion = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}(@[1-9][0-9]{0,5})?$/, 'Write the name of a toolbox, or "name@3" for one version of it.');
const capabilityGlob = z.string().regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name*".');

export const roleNames = ['admin', 'approver', 'developer', 'auditor'] as const;

export const roleGrantSchema = z.strictObject({
  role: z.enum(roleNames).describe('What the member may do.'),
  namespace: namespaceNameSchema.optional().describe('Where. Default: everywhere.'),
});

export const scopeSchema = z.strictObject({
  toolboxes: z
    .array(toolboxOrVersion)
    .max(1000)
    .optional()
    .describe('Only these toolboxes, single versions as "name@3"; "/mcp" itself is not one of them.'),
  namespaces: z.array(namespaceNameSchema).max(1000).optional().describe('Only capabilities of these namespaces.'),
  capabilities: z
    .array(capabilityGlob)
    .max(1000)
    .optional()
    .describe('Only these, as "namespace/name" with * for any run of characters.'),
  models: z
    .array(capabilityGlob)
    .max(1000)
    .optional()
    .describe('Only these models, as "namespace/name" with * for any run of characters; alone, nothing but models.'),
});

const consumer = z.strictObject({
  title,
  kind: z.enum(['team', 'application']),
  limits: limitsSchema.optional(),
  isDisabled: z.boolean(),
});

const member = z.strictObject({
  title,
  /** Principals of tokens that speak for this member, as records show them: `oauth:<issuer>#<sub>`, or an e-mail address. */
  identities: z.array(z.string().min(1).max(512)).max(20),
  roles: z.array(roleGrantSchema).max(200),
  limits: limitsSchema.optional(),
  isDisabled: z.boolean(),
});

/** Of whoever is not registered here, it is what their issuer calls them. */
const personName = z.string().min(1).max(512);

/** Somebody a secret was handed to, as they came: another key of theirs, or of an application that is all of it, is no other. */
const holder = z.strictObject({ id: personName, member: personName.optional(), consumer: personName.optional() });

const keySecret = z.strictObject({
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** The last four characters: what people tell secrets apart by. */
  hint: z.string().max(8),
  createdAtMs: time,
  /** Of a secret that was replaced: the end of its grace. */
  validUntilMs: time.optional(),
  /** Whoever was shown it besides its owner; empty for the operator alone. Undefined in keys from before this was kept: `issuedBy`. */
  handedTo: z.array(holder).max(mostHolders).optional(),
});

const key = z.strictObject({
  title,
  consumer: idSchema.optional(),
  member: idSchema.optional(),
  scope: scopeSchema,
  network: networkSchema.optional(),
  limits: limitsSchema.optional(),
  expiresAtMs: time.optional(),
  state: z.enum(['active', 'disabled', 'revoked']),
  secrets: z.array(keySecret).max(2),
  /** The caller that made it, and the member behind that: what a key may do, its issuer must be able to do. */
  issuedBy: z.string().max(512),
  issuer: idSchema.optional(),
  createdAtMs: time,
});

const namespace = z.strictObject({ description: z.string().max(4096).optional() });

/** An upstream of `namespace`, in the words of a namespace file. */
const upstream = z.strictObject({
  namespace: namespaceNameSchema,
  entry: z.record(z.string(), z.unknown()),
  /** Another one for each registration: what is taken out and registered again is not what it was, although its name is. */
  registration: z.string().min(1).max(64).optional(),
});

/**
 * The API description of the upstream of the same id, compressed. Its entry names it by its hash.
 */
const description = z.strictObject({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the description itself. */
  bytes: z.int().min(1),
  gzip: z
    .string()
    .min(1)
    .max(32 * 1024 * 1024),
});

/** What a toolbox holds, in the words of a namespace file. */
const selection = z.record(z.string(), z.unknown());

const toolbox = z.strictObject({
  namespace: namespaceNameSchema,
  draft: selection,
  /** The version that is served; undefined before the first is published. */
  published: z.int().min(1).optional(),
  /** Of the newest version. */
  latest: z.int().min(0),
  owner: z.string().max(512),
});

const toolboxVersion = z.strictObject({
  toolbox: toolboxNameSchema,
  version: z.int().min(1),
  namespace: namespaceNameSchema,
  selection,
  note: z.string().max(1000).optional(),
  publishedBy: z.string().max(512),
  publishedAtMs: time,
});

const policy = z.strictObject({ policy: policySchema });

const secret = z.strictObject({ sealed: z.string().min(1).max(100_000), changedAtMs: time, changedBy: z.string().max(512) });

const pin = z.custom<PinDocument>((value) => readPin(value) !== undefined);

const hash = z.string().min(1).max(64);
export const submissionStates = ['draft', 'submitted', 'approved', 'rejected', 'changes-requested', 'withdrawn'] as const;

const person = z.strictObject({ id: personName, member: personName.optional() });

/** With everyone who held a secret of the key it was submitted with. */
const submitter = person.extend({
  holders: z
    .array(holder)
    .max(2 * mostHolders)
    .optional(),
});

const submission = z.strictObject({
  /** A new upstream, or what a known one offers that is not what was approved. */
  about: z.enum(['upstream', 'change']),
  namespace: namespaceNameSchema,
  /** Its name in the namespace. */
  upstream: z.string().max(64),
  state: z.enum(submissionStates),
  submitter,
  justification: z.string().max(4000),
  /** In the words of a namespace file; of a new upstream. */
  entry: z.record(z.string(), z.unknown()).optional(),
  /** Of the pin that an approval writes. */
  pin: z.string().max(512),
  /** Of the text that lists the definitions; whoever approves, approves these. */
  content: hash,
  /** Of the text with all findings. */
  assessment: hash,
  score: z.int().min(0).max(100),
  /** Of the worst finding. */
  severity: z.enum(['none', 'low', 'medium', 'high', 'critical']),
  isExternal: z.boolean(),
  approvals: z.array(person.extend({ atMs: time })).max(50),
  history: z
    .array(
      z.strictObject({
        atMs: time,
        by: z.string().max(512),
        event: z.enum([
          'drafted',
          'submitted',
          'updated',
          'approved',
          'published',
          'rejected',
          'changes-requested',
          'withdrawn',
          'commented',
        ]),
        note: z.string().max(4000).optional(),
      }),
    )
    .max(500),
  createdAtMs: time,
  changedAtMs: time,
});

const host = z
  .string()
  .regex(
    /^(\*\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$/,
    'Write a host in lower case: "api.example.com", "*.example.com" for all below it, with ":8443" where it has a port of its own.',
  );
const publisher = z
  .string()
  .regex(
    /^@?[a-z0-9][a-z0-9._-]{0,99}$/,
    'Write a scope of npm packages as "@example", or an organisation of images as "example".',
  );

export const reviewRulesSchema = z.strictObject({
  internal: z
    .strictObject({
      origins: z.array(host).max(200).optional().describe('Hosts of your own.'),
      publishers: z.array(publisher).max(200).optional().describe('Publishers of commands that are your own: "@example".'),
    })
    .optional()
    .describe('What is not an external source. Everything else is, and is never approved without a person.'),
  autoApprove: z
    .array(
      z.strictObject({
        origins: z.array(host).max(200).optional().describe('Only from these hosts.'),
        publishers: z.array(publisher).max(200).optional().describe('Only commands of these publishers.'),
        namespaces: z.array(namespaceNameSchema).max(200).optional().describe('Only for these namespaces.'),
        about: z.enum(['upstream', 'change']).optional().describe('Only new upstreams, or only changes of known ones.'),
        isReadOnly: z
          .literal(true)
          .optional()
          .describe('Only where every tool says that it reads only, and none is named as if it did more.'),
        minScore: z.int().min(0).max(100).optional().describe('Least score of the assessment. Default: 80.'),
      }),
    )
    .max(100)
    .optional()
    .describe(
      'What is approved at once: whatever fits one of these rules whole, comes from an internal source, and has no finding above low.',
    ),
  approvers: z
    .strictObject({
      count: z.int().min(1).max(10).optional().describe('How many people have to approve. Default: 1.'),
      role: z.enum(['approver', 'admin']).optional().describe('The role they need; admins have every role. Default: approver.'),
    })
    .optional(),
  directRegistration: z
    .boolean()
    .optional()
    .describe('Whether admins may register an upstream without anybody else looking at it. Default: true.'),
});

const reviewRules = reviewRulesSchema;

const alertGlob = z
  .string()
  .regex(/^[^\s/]{1,128}\/[^\s/]{1,128}$/, 'Write "namespace/name" of a model; * stands for any run of characters.');

export const alertSchema = z.strictObject({
  title: z.string().min(1).max(200).optional().describe('What people call it.'),
  namespace: namespaceNameSchema
    .optional()
    .describe(
      'Whose admins it is for, and told to; only calls of its models count. Default: those of the whole gateway, and all models.',
    ),
  per: z
    .enum(['all', 'model', 'consumer', 'key'])
    .describe('Whose use is added up: each model, consumer or key by itself, or all together.'),
  match: z.array(alertGlob).min(1).max(100).optional().describe('Only calls of these models, as "namespace/name". Default: all.'),
  subject: z.string().min(1).max(256).optional().describe('Only this one model, consumer or key. Default: each.'),
  unit: z.enum(['usd', 'tokens', 'calls']).describe('What is added up: US dollars as prices say, tokens, or calls.'),
  amount: z.number().gt(0).max(1_000_000_000_000).describe('What 100 % is, in the unit.'),
  window: z.enum(['hour', 'day', 'month']).describe('Calendar window in UTC, after which counting begins again.'),
  thresholds: z
    .array(z.number().gt(0).max(10))
    .min(1)
    .max(10)
    .optional()
    .describe('Shares of the amount at which to tell, e.g. 0.5. Default: 0.8 and 1.'),
  forecast: z
    .boolean()
    .optional()
    .describe('Tell also when the present rate would pass the amount before the window ends. Default: true.'),
});

export const pricedModelSchema = z.strictObject({
  provider: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,39}$/)
    .describe('As targets name it: openai, azure, anthropic, gemini, vertex, bedrock, openai-compatible.'),
  model: z.string().min(1).max(300).describe("The provider's name of the model."),
});

/** What a model costs here, whatever is published. */
export const modelPriceSchema = pricedModelSchema.extend({ price: priceSchema });

const documentSchemas = {
  consumer,
  member,
  key,
  namespace,
  upstream,
  description,
  toolbox,
  'toolbox-version': toolboxVersion,
  policy,
  secret,
  pin,
  submission,
  'review-rules': reviewRules,
  alert: alertSchema,
  'model-price': modelPriceSchema,
} as const;

export type DocumentKind = keyof typeof documentSchemas;
export type Documents = { readonly [Kind in DocumentKind]: z.output<(typeof documentSchemas)[Kind]> };
export type AlertDocument = Documents['alert'];
export type KeyDocument = Documents['key'];
export type Holder = z.output<typeof holder>;
export type MemberDocument = Documents['member'];
export type ConsumerDocument = Documents['consumer'];
export type SubmissionDocument = Documents['submission'];
export type ReviewRules = Documents['review-rules'];
export type RoleGrant = z.output<typeof roleGrantSchema>;
export type Scope = z.output<typeof scopeSchema>;

function isDocumentKind(kind: string): kind is DocumentKind {
  return Object.hasOwn(documentSchemas, kind);
}

/** A document's value as its kind wants it, or what is wrong with it; undefined for a kind that is not known here. */
export function readDocument(
  kind: string,
  value: unknown,
): { readonly body: Documents[DocumentKind] } | { readonly problems: readonly string[] } | undefined {
  if (!isDocumentKind(kind)) return undefined;
  const read = documentSchemas[kind].safeParse(value);
  return read.success ? { body: read.data } : { problems: read.error.issues.map(({ message }) => message) };
}

/** What is wrong with an upstream or a toolbox as a namespace file would have it; `path` starts inside the entry. */
export function checkEntry(
  section: 'upstreams' | 'toolboxes',
  namespace: string,
  name: string,
  entry: unknown,
): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const read = readNamespaceFile({ namespace, [section]: { [name]: entry } });
  return 'flaws' in read ? read.flaws.map(({ path, message }) => ({ path: path.slice(2), message })) : [];
}
