import type { Logger } from 'pino';
import type { Caller } from '../../call/authenticate.ts';
import { authorize } from '../../call/authorize.ts';
import { findToolbox, resolveResource } from '../../call/resolve.ts';
import type { Catalog, Member } from '../../catalog/catalog.ts';

/** Who wants to know of changes to one resource. */
interface Subscription {
  readonly caller: Caller;
  readonly toolbox: string;
  /** As the client calls it. */
  readonly uri: string;
  readonly onUpdated: (uri: string) => void;
  member: Member;
  memberUri: string;
}

/** Subscriptions of every client and era, each a wish to one upstream. */
export class Subscriptions {
  readonly #byResource = new Map<string, Set<Subscription>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Returns a function that ends it. Throws GatewayError `unknown_capability`; a far end that refuses rejects. */
  async add(
    catalog: Catalog,
    caller: Caller,
    toolbox: string,
    uri: string,
    onUpdated: (uri: string) => void,
  ): Promise<() => void> {
    const permit = authorize(caller, resolveResource(findToolbox(catalog, toolbox), { uri }));
    const subscription: Subscription = {
      caller,
      toolbox,
      uri,
      onUpdated,
      member: permit.member,
      memberUri: String(permit.params.uri),
    };
    await subscription.member.upstream.subscribe(subscription.memberUri);
    this.#index(subscription);
    return () => {
      if (!this.#unindex(subscription)) return;
      void this.#quietly(subscription.member.upstream.unsubscribe(subscription.memberUri));
    };
  }

  updated(memberId: string, uri: string): void {
    for (const subscription of this.#byResource.get(key(memberId, uri)) ?? []) subscription.onUpdated(subscription.uri);
  }

  /** An upstream that was replaced knows nothing of the wishes its predecessor had. */
  move(catalog: Catalog): void {
    for (const subscription of [...this.#byResource.values()].flatMap((set) => [...set])) {
      const member = catalog.upstreams.get(subscription.member.id);
      if (member === undefined || member.upstream === subscription.member.upstream) continue;
      subscription.member = member;
      void this.#quietly(member.upstream.subscribe(subscription.memberUri));
    }
  }

  async #quietly(wish: Promise<void>): Promise<void> {
    try {
      await wish;
    } catch (error) {
      this.#log.warn({ err: error }, 'a resource subscription could not be passed on');
    }
  }

  #index(subscription: Subscription): void {
    const at = key(subscription.member.id, subscription.memberUri);
    const set = this.#byResource.get(at) ?? new Set();
    set.add(subscription);
    this.#byResource.set(at, set);
  }

  #unindex(subscription: Subscription): boolean {
    const at = key(subscription.member.id, subscription.memberUri);
    const set = this.#byResource.get(at);
    if (set === undefined || !set.delete(subscription)) return false;
    if (set.size === 0) this.#byResource.delete(at);
    return true;
  }
}

function key(memberId: string, uri: string): string {
  return `${memberId} ${uri}`;
}
