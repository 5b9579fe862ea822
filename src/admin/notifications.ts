import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import type { SubmissionDocument } from '../registry/documents.ts';
import type { Entry } from '../registry/registry.ts';
import { isSamePerson } from '../review/submission.ts';
import { type AdminPorts, defineAction, hasRole } from './action.ts';
import { pendingFor } from './approvals.ts';
import { mayDecide, visibleSubmissions } from './submissions.ts';

const events = {
  drafted: 'was begun',
  submitted: 'was submitted',
  updated: 'has changed',
  approved: 'has an approval',
  published: 'was approved',
  rejected: 'was rejected',
  'changes-requested': 'needs changes',
  withdrawn: 'was withdrawn',
  commented: 'has a comment',
} as const satisfies Record<SubmissionDocument['history'][number]['event'], string>;

export const listNotifications = defineAction({
  name: 'list_notifications',
  title: 'What has happened',
  description:
    'The inbox: calls that wait for a person, what others did to submissions that the caller made, decides on or audits, and alerts that were passed where the caller is an admin; newest first, with what still waits for a decision of theirs.',
  roles: ['admin', 'approver', 'developer', 'auditor'],
  isReadOnly: true,
  route: 'GET /notifications',
  input: z.strictObject({
    waitsForYou: z.boolean().optional().describe('Only what waits for a decision of yours.'),
    sinceMs: z.int().min(0).optional().describe('Only what happened at this time or later, ms since 1970.'),
    limit: z.int().min(1).max(200).optional().describe('Most entries in the answer. Default: 50.'),
  }),
  output: z.object({
    notifications: z.array(
      z.object({
        id: z.string(),
        atMs: z.number(),
        title: z.string(),
        submission: z.string().optional(),
        approval: z.string().optional().describe('The call that waits: decide_approval.'),
        alert: z.string().optional().describe('The alert that was passed: list_alerts.'),
        upstream: z.string().describe('Empty where it is about none.'),
        by: z.string(),
        event: z.string(),
        comment: z.string().optional(),
        waitsForYou: z.boolean(),
      }),
    ),
    waiting: z.number().describe('How many submissions and calls wait for a decision of yours.'),
  }),
  async run(ports, caller, { waitsForYou = false, sinceMs = 0, limit = 50 }) {
    const visible = visibleSubmissions(ports, caller);
    const waiting = new Set(visible.filter(({ body }) => mayDecide(ports, caller, body)).map(({ id }) => id));
    const calls = (await pendingFor(ports, caller)).map(notificationOf);
    const notifications = visible
      .filter(({ id }) => !waitsForYou || waiting.has(id))
      .flatMap((entry) => notificationsOf(entry, caller, waiting.has(entry.id)))
      .concat(calls.filter((call) => !waitsForYou || call.waitsForYou))
      .concat(waitsForYou ? [] : await alertsFor(ports, caller, sinceMs))
      .filter(({ atMs }) => atMs >= sinceMs)
      .sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
    return {
      notifications: notifications.slice(0, limit),
      waiting: waiting.size + calls.filter((call) => call.waitsForYou).length,
    };
  },
});

interface Notification {
  readonly id: string;
  readonly atMs: number;
  readonly title: string;
  readonly submission?: string;
  readonly approval?: string;
  readonly alert?: string;
  readonly upstream: string;
  readonly by: string;
  readonly event: string;
  readonly comment?: string;
  readonly waitsForYou: boolean;
}

function notificationOf(call: Awaited<ReturnType<typeof pendingFor>>[number]): Notification {
  const { id, requestedAtMs: atMs, capability, waitsFor, upstream, caller: by, mayDecide: waitsForYou } = call;
  const title = `A call of ${capability} waits for ${waitsFor ?? 'a decision'}`;
  return { id, atMs, title, approval: id, upstream, by, event: 'requested', waitsForYou };
}

const mostAlerts = 1000;

async function alertsFor({ registry, models }: AdminPorts, caller: Caller, sinceMs: number): Promise<readonly Notification[]> {
  const alerts = new Map(registry.list('alert').map(({ id, body }) => [id, body]));
  if (alerts.size === 0) return [];
  const told = await models.records.listAlerts(sinceMs, mostAlerts);
  return told.flatMap(({ id, atMs, alert, message }) => {
    const body = alerts.get(alert);
    if (body === undefined || !hasRole(caller, ['admin'], body.namespace)) return [];
    const title = `Alert ${body.title ?? alert}: ${message}`;
    return [{ id, atMs, title, alert, upstream: '', by: 'gatehouse', event: 'alert', waitsForYou: false }];
  });
}

// Made from the histories: nobody can be told of something that was not committed, nor miss what was.
function notificationsOf({ id, body }: Entry<'submission'>, caller: Caller, isWaiting: boolean): Notification[] {
  const { namespace, upstream, about, history } = body;
  const name = `${namespace}/${upstream}`;
  const what = about === 'upstream' ? name : `A change of ${name}`;
  const last = history.findLastIndex(({ event }) => event === 'submitted' || event === 'updated');
  return history.flatMap(({ atMs, by, event, note }, at) => {
    if (event === 'drafted' || isSamePerson({ id: by }, caller)) return [];
    return [
      {
        ...{ id: `${id}.${at + 1}`, atMs, title: `${what} ${events[event]}`, submission: id, upstream: name, by, event },
        ...(note === undefined ? {} : { comment: note }),
        waitsForYou: isWaiting && at === last,
      },
    ];
  });
}
