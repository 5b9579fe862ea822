import { hash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Notifier } from '../notify/notify.ts';
import type { AlertDocument } from '../registry/documents.ts';
import type { Registry } from '../registry/registry.ts';
import type { AlertEvent, ModelCallsSum, ModelRecords } from '../store/ports/model-records.ts';
import { type AlertUsage, mostAlertGroups, usageOf, type Warning, warningsOf, windowOf } from './alert.ts';

interface WatchPorts {
  readonly registry: Pick<Registry, 'list'>;
  readonly records: Pick<ModelRecords, 'sumCalls' | 'claimAlert'>;
  /** Stores what this replica has added up. */
  readonly flush: () => Promise<void>;
  readonly notifier: Pick<Notifier, 'notify'>;
  /** Address of this gateway. */
  readonly ownUrl: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Looks at what was used and tells of what runs out: once per alert, subject, window and threshold, whatever the number of replicas. */
export async function watchAlerts({ registry, records, flush, notifier, ownUrl, clock, log }: WatchPorts): Promise<void> {
  const alerts = registry.list('alert');
  if (alerts.length === 0) return;
  try {
    await flush();
    const nowMs = clock.nowMs();
    const sumsFrom = remember((fromMs) =>
      records.sumCalls({ fromMs, toMs: nowMs + 60_000, by: ['model', 'consumer', 'key'], limit: mostAlertGroups }),
    );
    for (const { id, body } of alerts) {
      const window = windowOf(body, nowMs);
      for (const usage of usageOf(body, await sumsFrom(window.startMs), nowMs))
        for (const warning of warningsOf(body, usage)) {
          const event = eventOf(id, body, usage, warning, window.startMs, nowMs);
          if (await records.claimAlert(event)) notifier.notify(notificationOf(event, body, ownUrl()));
        }
    }
  } catch (error) {
    log.warn(
      { reason: error instanceof Error ? error.message : String(error) },
      'alerts could not be looked at; it is tried again',
    );
  }
}

function remember(read: (fromMs: number) => Promise<readonly ModelCallsSum[]>): typeof read {
  const known = new Map<number, Promise<readonly ModelCallsSum[]>>();
  return (fromMs) => {
    const sums = known.get(fromMs) ?? read(fromMs);
    known.set(fromMs, sums);
    return sums;
  };
}

function eventOf(
  alert: string,
  { amount }: AlertDocument,
  { subject, used }: AlertUsage,
  { mark, text: message }: Warning,
  startMs: number,
  atMs: number,
): AlertEvent {
  // The amount belongs to it: an alert that was raised may be passed again.
  const id = hash('sha256', JSON.stringify([alert, subject, startMs, mark, amount]), 'base64url').slice(0, 32);
  return { id, atMs, alert, subject, message, used, amount };
}

function notificationOf({ id, atMs, alert, subject, message, used, amount }: AlertEvent, body: AlertDocument, url: string) {
  return {
    id,
    kind: 'alert.passed',
    atMs,
    title: `Alert ${body.title ?? alert}: ${message}`,
    text: `${message} See list_alerts for all alerts, and get_usage for who used it.`,
    url: `${url}/api/alerts`,
    audience: { members: [], role: 'admin', namespace: body.namespace ?? '' },
    data: { alert, subject, per: body.per, unit: body.unit, window: body.window, used, amount },
  };
}
