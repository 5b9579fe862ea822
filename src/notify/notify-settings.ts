import { z } from 'zod';
import { checkSecretReferences } from '../secrets.ts';

// The one definition of `notify` in gatehouse.yaml. Descriptions and messages are read by the person who writes it.

/** Where people are told that something waits for them. */
export interface NotifySettings {
  readonly webhook?: WebhookSettings | undefined;
  readonly smtp?: SmtpSettings | undefined;
}

export interface SmtpSettings {
  readonly host: string;
  /** 465 for `tls`, 587 else, when left out. */
  readonly port?: number | undefined;
  /** `tls` when left out. */
  readonly security?: 'tls' | 'starttls' | 'none' | undefined;
  readonly user?: string | undefined;
  /** As written, `${secret:NAME}`. */
  readonly password?: string | undefined;
  readonly from: string;
  readonly to?: readonly string[] | undefined;
}

export interface WebhookSettings {
  readonly url: string;
  /** As written, `${secret:NAME}`. */
  readonly secret: string;
  /** Undefined: nobody decides by a webhook. */
  readonly decisions?: DecisionSettings | undefined;
}

/** Who may decide on calls that wait by a signed request. */
export interface DecisionSettings {
  /** As written, `${secret:NAME}`; not the one that events are signed with. */
  readonly secret: string;
  /** Ids of the members in whose name it decides. */
  readonly members: readonly string[];
}

const webUrl = z
  .string('"url" must be an address, e.g. https://hooks.example.com/gatehouse.')
  .max(2048)
  .refine((text) => {
    const url = URL.parse(text);
    return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  }, '"url" must be an http or https address without user and password.');

const secretReference = z
  .string('"secret" must be text.')
  .regex(/^\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,127}\}$/, `Write it as \${secret:NAME}: a secret does not belong into this file.`)
  .refine((text) => checkSecretReferences(text) === undefined, {
    error: ({ input }) => checkSecretReferences(String(input)) ?? '',
  });

const mailAddress = z
  .string()
  .max(254)
  .regex(/^[^\s@<>",;:\\()[\]]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,180}[A-Za-z0-9])?$/, 'Write one plain mail address.');

const smtp = z
  .strictObject({
    host: z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9.:-]{0,250}[A-Za-z0-9])?$/, '"host" must be the name or address of a mail server.')
      .describe('The mail server.'),
    port: z.int().min(1).max(65_535).optional().describe('Default: 465 for tls, else 587.'),
    security: z
      .enum(['tls', 'starttls', 'none'])
      .optional()
      .describe('How the connection is encrypted; none is for a server on this machine. Default: tls.'),
    user: z.string().min(1).max(256).optional().describe('To sign in with.'),
    password: secretReference.optional().describe(`As \${secret:NAME}.`),
    from: mailAddress.describe('The sender.'),
    to: z
      .array(mailAddress)
      .max(50)
      .optional()
      .describe('Who gets every mail, besides the members it is for who have a mail address among their identities.'),
  })
  .superRefine(({ security, host, user, password }, context) => {
    if ((user === undefined) !== (password === undefined))
      context.addIssue({ code: 'custom', message: '"user" and "password" go together; add the other one.' });
    const isHere = host === 'localhost' || host === '::1' || host.startsWith('127.');
    if (security === 'none' && !isHere)
      context.addIssue({
        code: 'custom',
        path: ['security'],
        message: 'Without encryption only a mail server on this machine can be used; write "tls" or "starttls".',
      });
  });

const decisions = z.strictObject({
  secret: secretReference.describe(`What decisions are signed with, as \${secret:NAME}; another one than that of events.`),
  members: z
    .array(z.string().min(1).max(128))
    .min(1, 'Name at least one member in whose name it decides.')
    .max(50)
    .describe('Ids of the members in whose name it decides, each on what they may decide on.'),
});

const webhook = z
  .strictObject({
    url: webUrl.describe('Where each event is posted as JSON.'),
    secret: secretReference.describe(`What events are signed with, as \${secret:NAME}.`),
    decisions: decisions.optional().describe('Lets the receiver decide on calls that wait. Default: it may not.'),
  })
  .refine(({ secret, decisions: taken }) => taken?.secret !== secret, {
    path: ['decisions', 'secret'],
    message: 'Whoever may hear is not whoever may decide: name another secret than that of the events.',
  });

const notifySchema = z.strictObject({
  webhook: webhook.optional(),
  smtp: smtp.optional(),
});

/** Reads `notify`; every flaw at once. */
export function readNotifySettings(
  value: unknown,
):
  | { readonly value: NotifySettings }
  | { readonly flaws: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] } {
  const read = notifySchema.safeParse(value);
  if (read.success) return { value: Object.freeze(read.data) };
  return { flaws: read.error.issues.map(({ path, message }) => ({ path, message })) };
}
