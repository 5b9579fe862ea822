import { z } from 'zod';
import { mostAlertGroups, usageOf, windowOf } from '../alerts/alert.ts';
import { watchAlerts } from '../alerts/alert-watch.ts';
import type { Caller } from '../call/authenticate.ts';
import { suggestName } from '../problems.ts';
import { type AlertDocument, alertSchema, idSchema } from '../registry/documents.ts';
import type { ModelCallsSum } from '../store/ports/model-records.ts';
import { defineAction, hasRole, notThere, requireRole } from './action.ts';
import { commitChange, requireRevision, revisionField } from './change.ts';
import { withoutUndefined } from './consumers.ts';
import { knownTo, type NamePorts, takesAny, whyNothing } from './known-names.ts';
import { warningsField } from './policies.ts';

const shown = alertSchema.extend({ id: z.string(), revision: z.number() });

export const setAlert = defineAction({
  name: 'set_alert',
  title: 'Set an alert',
  description:
    'Tells admins (webhook, mail, inbox) when models, consumers or keys have used up a share of an amount of money, tokens or calls in a calendar window, and when they will at the present rate. Each is told once per window. Holds nothing back: for that there are budgets.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /alerts/{id}',
  input: z.strictObject({
    id: idSchema.describe('What it is called here.'),
    alert: alertSchema.describe(
      'Whose use is watched and from how much on, e.g. {"per":"model","unit":"usd","amount":50,"window":"day"}.',
    ),
    revision: revisionField,
  }),
  output: shown.extend({ warnings: warningsField }),
  async run(ports, caller, { id, alert, revision }, ip) {
    requireRole(caller, ['admin'], alert.namespace);
    const known = ports.registry.get('alert', id);
    if (known !== undefined) requireRole(caller, ['admin'], known.body.namespace);
    requireRevision('alert', id, known, revision);
    await commitChange(ports, caller, { action: 'set_alert', edits: [{ kind: 'alert', id, body: alert }], detail: alert });
    // What is passed already is told now.
    const { models, ...others } = ports;
    await watchAlerts({ ...others, ...models });
    const { revision: now } = ports.registry.require('alert', id);
    const warnings = await alertWarnings(ports, caller, ip, alert);
    return { ...alert, id, revision: now, ...(warnings.length === 0 ? {} : { warnings }) };
  },
});

/** What the alert is about and is not there. Whoever does not look after the whole gateway may not know of each consumer and key. */
async function alertWarnings(
  ports: NamePorts,
  caller: Caller,
  ip: string,
  { per, match = [], subject }: AlertDocument,
): Promise<string[]> {
  const { models, namespaces } = await knownTo(ports, caller, ip);
  const unmatched = match.filter((glob) => !takesAny(models, glob));
  const warnings = unmatched.map(
    (glob) => `match: "${glob}" takes no model right now.${whyNothing({ namespaces }, glob, models)}`,
  );
  if (subject === undefined || per === 'all') return warnings;
  if (per !== 'model' && !hasRole(caller, ['auditor'])) return warnings;
  const subjects = per === 'model' ? [...models] : ports.registry.list(per).map(({ id }) => id);
  if (subjects.includes(subject)) return warnings;
  return [
    ...warnings,
    `subject: there is no ${per} "${subject}", so nobody is told until there is.${suggestName(subject, subjects)}`,
  ];
}

export const deleteAlert = defineAction({
  name: 'delete_alert',
  title: 'Remove an alert',
  description: 'Nobody is told by it any more; what it told stays on record.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'DELETE /alerts/{id}',
  input: z.strictObject({ id: idSchema }),
  output: z.object({ id: z.string() }),
  async run(ports, caller, { id }) {
    const known = ports.registry.get('alert', id);
    if (known === undefined || !hasRole(caller, ['admin'], known.body.namespace)) throw notThere('alert', id);
    await commitChange(ports, caller, { action: 'delete_alert', edits: [{ kind: 'alert', id, body: undefined }], detail: {} });
    return { id };
  },
});

export const listAlerts = defineAction({
  name: 'list_alerts',
  title: 'Look at alerts',
  description:
    'Every alert with what its subjects have used in the window that runs, what that comes to at the present rate, and what was told.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'GET /alerts',
  input: z.strictObject({
    sinceMs: z.int().min(0).optional().describe('Told at this time or later, ms since 1970. Default: 30 days ago.'),
    limit: z.int().min(1).max(1000).optional().describe('Most of what was told, newest first. Default: 100.'),
  }),
  output: z.object({
    alerts: z.array(
      shown.extend({
        usage: z.array(z.object({ subject: z.string(), used: z.number(), forecast: z.number().optional() })),
      }),
    ),
    told: z.array(
      z.object({
        atMs: z.number(),
        alert: z.string(),
        subject: z.string(),
        message: z.string(),
        used: z.number(),
        amount: z.number(),
      }),
    ),
  }),
  async run(ports, caller, { sinceMs, limit = 100 }) {
    const nowMs = ports.clock.nowMs();
    await ports.models.flush();
    const { records } = ports.models;
    const visible = ports.registry.list('alert').filter(({ body }) => hasRole(caller, ['admin', 'auditor'], body.namespace));
    const sums = new Map<number, Promise<readonly ModelCallsSum[]>>();
    const alerts = [];
    for (const { id, revision, body } of visible) {
      const { startMs } = windowOf(body, nowMs);
      const read =
        sums.get(startMs) ??
        records.sumCalls({ fromMs: startMs, toMs: nowMs + 60_000, by: ['model', 'consumer', 'key'], limit: mostAlertGroups });
      sums.set(startMs, read);
      const usage = usageOf(body, await read, nowMs).slice(0, mostSubjects);
      alerts.push({ ...body, id, revision, usage: usage.map(withoutUndefined) });
    }
    const ids = new Set(visible.map(({ id }) => id));
    const told = await records.listAlerts(sinceMs ?? nowMs - thirtyDaysMs, 1000);
    return {
      alerts,
      told: told
        .filter(({ alert }) => ids.has(alert))
        .slice(0, limit)
        .map(({ id: _, ...event }) => event),
    };
  },
});

const mostSubjects = 100;
const thirtyDaysMs = 30 * 86_400_000;
