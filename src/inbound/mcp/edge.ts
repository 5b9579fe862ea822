import type { Logger } from 'pino';
import type { Approvals } from '../../call/approve/approvals.ts';
import type { SignedDecisions } from '../../call/approve/signed-decisions.ts';
import type { Caller } from '../../call/authenticate.ts';
import type { Circumstances } from '../../call/authorize.ts';
import type { CallPorts } from '../../call/call.ts';
import type { Catalog, Toolbox } from '../../catalog/catalog.ts';
import type { Watcher } from './list-changes.ts';
import type { Listeners } from './listen.ts';
import type { ParkedCalls } from './parked.ts';
import type { Sessions } from './sessions.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { TaskRuns } from './task-runs.ts';

/** What the MCP doors share. */
export interface Edge {
  catalog(): Catalog;
  /** What this gateway, in all its replicas, calls itself in requests to upstreams. */
  readonly hop: string;
  /** Resolves when every upstream was heard of once, or after a moment: the first list of a fresh start is not empty. */
  settled(): Promise<void>;
  /** What decides, besides who somebody is, what they see and may call right now. `ip` is empty where there is none. */
  circumstances(ip: string): Circumstances;
  /** What a caller is shown of a toolbox now; remembered until who watches it was told of changes. Throws GatewayError as `visibleToolbox`. */
  list(place: Pick<Watcher, 'caller' | 'ip' | 'toolbox'>): Toolbox;
  /** The same caller as it is by now; undefined where it is no longer let in. */
  renewed(caller: Caller): Caller | undefined;
  readonly calls: CallPorts;
  readonly approvals: Approvals;
  /** Undefined where nobody decides by signed requests. */
  readonly signedDecisions: SignedDecisions | undefined;
  readonly sessions: Sessions;
  readonly parked: ParkedCalls;
  readonly tasks: TaskRuns;
  readonly listeners: Listeners;
  readonly subscriptions: Subscriptions;
  readonly log: Logger;
}
