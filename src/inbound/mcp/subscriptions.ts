import type { Logger } from 'pino';
import type { Caller } from '../../call/authenticate.ts';
import { authorize, type Circumstances, type Permit } from '../../call/authorize.ts';
import { findToolbox, resolveResource, type Target } from '../../call/resolve.ts';
import type { Catalog, Member } from '../../catalog/catalog.ts';

/** Who wants to know of changes to one resource. */
interface Subscription extends Wish {
  readonly target: Target;
  member: Member;
  memberUri: string;
}

/** A resource somebody wants to hear of, as the client calls it. */
export interface Wish {
  /** As they are whenever there is something to tell. */
  readonly circumstances: () => Circumstances;
  readonly caller: () => Caller;
  readonly toolbox: string;
  readonly uri: string;
  readonly onUpdated: (uri: string) => void;
}

/** Subscriptions of every client and era, each a wish to one upstream. */
export class Subscriptions {
  readonly #byResource = new Map<string, Set<Subscription>>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Returns a function that ends it. Throws GatewayError `unknown_capability`; a far end that refuses rejects. */
  async add(catalog: Catalog, wish: Wish): Promise<() => void> {
    const target = resolveResource(findToolbox(catalog, wish.toolbox), { uri: wish.uri });
    const { member, params } = judge(wish, target);
    const subscription: Subscription = { ...wish, target, member, memberUri: String(params.uri) };
    await subscription.member.upstream.subscribe(subscription.memberUri);
    this.#index(subscription);
    return () => {
      if (!this.#unindex(subscription)) return;
      void this.#quietly(subscription.member.upstream.unsubscribe(subscription.memberUri));
    };
  }

  updated(memberId: string, uri: string): void {
    for (const subscription of this.#byResource.get(key(memberId, uri)) ?? []) {
      if (mayHear(subscription)) subscription.onUpdated(subscription.uri);
    }
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

/** Who hears of a resource must be allowed to read it. Throws GatewayError. */
function judge({ circumstances, caller, uri }: Wish, target: Target): Permit {
  return authorize(circumstances(), caller(), target, { method: 'resources/read', params: { uri } });
}

// Rights may have changed since.
function mayHear(subscription: Subscription): boolean {
  try {
    judge(subscription, subscription.target);
    return true;
  } catch {
    return false;
  }
}

function key(memberId: string, uri: string): string {
  return `${memberId} ${uri}`;
}
