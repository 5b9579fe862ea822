/** Tells whoever listens how their tasks stand (`notifications/tasks`, SEP-2663): what `tasks/get` would say, whenever it is something else. */
import { isDeepStrictEqual } from 'node:util';
import type { Caller } from '../../call/authenticate.ts';
import { GatewayError } from '../../errors.ts';
import { Cancel } from '../../wire/cancel.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { Edge } from './edge.ts';
import { taskAsItIs } from './tasks.ts';

/** Tasks one stream may follow. */
const maxTasks = 100;
/** Another replica may have changed it: then nobody wakes us. */
const lookEveryMs = 1_000;

interface Follower {
  /** As it is by now. */
  readonly caller: () => Caller;
  readonly toolbox: string;
  readonly ip: string;
  readonly tell: (task: JsonObject) => void;
}

/** Throws GatewayError `invalid_params`. */
export function readTaskIds(wish: unknown): readonly string[] {
  if (!Array.isArray(wish)) return [];
  if (wish.length > maxTasks) throw new GatewayError('invalid_params', `One stream may follow at most ${maxTasks} tasks.`);
  return [...new Set(wish.filter((id) => typeof id === 'string'))];
}

/** What begins to follow a task, from how it stands then, and returns what ends that. Undefined where it is not a task of this caller's here. */
export async function followable(edge: Edge, follower: Follower, taskId: string): Promise<(() => () => void) | undefined> {
  const { toolbox, ip } = follower;
  const whose = () => ({ caller: follower.caller(), toolbox, ip });
  const known = await taskAsItIs(edge, whose(), taskId).catch(() => undefined);
  if (known === undefined) return undefined;
  return () => {
    const cancel = new Cancel();
    follow(edge, known.id, () => taskAsItIs(edge, whose(), taskId), follower.tell, cancel).catch((error: unknown) => {
      if (cancel.reason === undefined) edge.log.warn({ err: error }, 'a task is no longer followed');
    });
    return () => cancel.cancel('nobody listens any more');
  };
}

async function follow(
  edge: Edge,
  id: string,
  look: () => ReturnType<typeof taskAsItIs>,
  tell: (task: JsonObject) => void,
  cancel: Cancel,
): Promise<void> {
  let last: JsonObject | undefined;
  while (cancel.reason === undefined) {
    // Registered before it is looked at: a change in between is not missed.
    const changed = edge.approvals.changed(id, lookEveryMs, cancel);
    changed.catch(() => {});
    const now = await look().catch(() => 'unknown' as const);
    if (now === undefined || cancel.reason !== undefined) return;
    // A store that cannot be reached says nothing of a task.
    if (now !== 'unknown' && !isDeepStrictEqual(now.task, last)) {
      last = now.task;
      tell(now.task);
    }
    if (now !== 'unknown' && now.isOver) return;
    await changed;
  }
}
