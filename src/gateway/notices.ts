import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { type Audience, type Channel, type Notifier, type NotifyEvent, openNotifier } from '../notify/notify.ts';
import { smtpChannel } from '../notify/smtp.ts';
import { webhookChannel } from '../notify/webhook.ts';
import { mailAddressesOf } from '../registry/mail-addresses.ts';
import type { Settings } from '../settings.ts';
import type { Reach } from '../upstreams/fetch-json.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Kept } from './kept.ts';

interface NoticePorts {
  readonly settings: Settings;
  readonly kept: Pick<Kept, 'store' | 'registry' | 'secrets'>;
  readonly reach: Reach;
  /** What a webhook alone is told of an event. */
  readonly confide: (event: NotifyEvent) => Promise<JsonObject>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Tells people, by every way that the settings name. */
export function openNotices(ports: NoticePorts): Notifier {
  const { kept, clock, log } = ports;
  return openNotifier({ channels: channelsOf(ports), store: kept.store.notices, clock, log });
}

function channelsOf({ settings: { notify }, kept, reach, confide, clock }: NoticePorts): readonly Channel[] {
  const { registry, secrets } = kept;
  const resolveSecret = (text: string) => secrets.resolve(text);
  const addressesOf = (audience: Audience) => mailAddressesOf(registry, audience);
  const { webhook, smtp } = notify;
  return [
    ...(webhook === undefined ? [] : [webhookChannel({ settings: webhook, reach, resolveSecret, clock, confide })]),
    ...(smtp === undefined ? [] : [smtpChannel({ settings: smtp, resolveSecret, addressesOf })]),
  ];
}
