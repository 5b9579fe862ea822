import { z } from 'zod';

// The one definition of `notify` in gatehouse.yaml. Descriptions and messages are read by the person who writes it.

/** Where people are told that something waits for them. */
export interface NotifySettings {
  readonly webhook?: WebhookSettings | undefined;
}

export interface WebhookSettings {
  readonly url: string;
  /** As written, `${secret:NAME}`. */
  readonly secret: string;
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
  .regex(/^\$\{secret:[A-Za-z_][A-Za-z0-9_]{0,127}\}$/, `Write it as \${secret:NAME}: a secret does not belong into this file.`);

const notifySchema = z.strictObject({
  webhook: z
    .strictObject({
      url: webUrl.describe('Where each event is posted as JSON.'),
      secret: secretReference.describe(`What events are signed with, as \${secret:NAME}.`),
    })
    .optional(),
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
