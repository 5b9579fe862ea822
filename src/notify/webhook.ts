import { createHmac } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { Reach } from '../upstreams/fetch-json.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Channel, NotifyEvent } from './notify.ts';
import type { WebhookSettings } from './notify-settings.ts';

interface WebhookPorts {
  readonly settings: WebhookSettings;
  readonly reach: Pick<Reach, 'fetchStatus'>;
  /** `${secret:NAME}` to its value. Throws where there is none. */
  readonly resolveSecret: (text: string) => string | Promise<string>;
  readonly clock: Clock;
  /** What the receiver alone may know of an event; looked up whenever it is sent, and kept nowhere. */
  readonly confide?: (event: NotifyEvent) => Promise<JsonObject>;
}

/**
 * Posts each event as JSON, signed as Standard Webhooks 1.0 says: `webhook-signature: v1,<base64 of HMAC-SHA256 over
 * "id.timestamp.body">`, `webhook-timestamp` in seconds. Anything but a 2xx answer is tried again.
 */
export function webhookChannel({ settings: { url, secret }, reach, resolveSecret, clock, confide }: WebhookPorts): Channel {
  // Whoever writes gatehouse.yaml says where events go; a redirect leads nowhere else.
  const named: ReadonlySet<string> = new Set([new URL(url).origin]);
  return {
    name: 'webhook',
    async send(event) {
      const body = JSON.stringify(bodyOf(event, (await confide?.(event)) ?? {}));
      const timestamp = Math.floor(clock.nowMs() / 1000);
      const key = keyBytes(await resolveSecret(secret));
      const headers = {
        'content-type': 'application/json',
        'webhook-id': event.id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signatureOf(key, event.id, timestamp, body),
      };
      const status = await reach.fetchStatus({ url, method: 'POST', headers, body, named });
      if (status < 200 || status >= 300) throw new Error(`the receiver answered ${status}`);
    },
  };
}

/** `v1,<base64>`, for whoever sends and whoever checks. */
export function signatureOf(key: Buffer, id: string, timestampS: number, body: string): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${timestampS}.${body}`).digest('base64')}`;
}

/**
 * `whsec_<base64>` is the form in which others hand such secrets out; any other text is its own bytes. Throws GatewayError
 * `bad_configuration` where there are none: what is signed with nothing could be signed by anybody.
 */
export function keyBytes(secret: string): Buffer {
  const bytes = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  if (bytes.length > 0) return bytes;
  throw new GatewayError(
    'bad_configuration',
    'The secret of the webhook is empty, or "whsec_" without base64 behind it; set another.',
  );
}

function bodyOf({ kind, atMs, title, text, url, audience, data }: NotifyEvent, confided: JsonObject): object {
  const facts = { title, text, url: url ?? null, audience, ...data, ...confided };
  return { type: kind, timestamp: new Date(atMs).toISOString(), data: facts };
}
