import type { Gateway } from '../gateway.ts';
import type { Lab, PassThrough, UpstreamProcess } from '../lab.ts';
import type { Tool } from '../load.ts';
import type { Era } from '../messages.ts';
import type { Load, Scenario } from '../rounds.ts';
import type { Behaviour, Plan } from '../upstream.ts';
import type { Expectation } from '../verify.ts';

export type TargetName = 'direct' | 'pass-through' | 'gatehouse';

interface LoadOnServer {
  /** Index of the upstream server. */
  readonly server: number;
  readonly era: Era;
  readonly callers: number;
  readonly expected: Expectation;
  /** Calls go through the server's tools in turn; lists name none. */
  readonly method: 'tools/call' | 'tools/list';
}

/**
 * The three targets side by side: one gateway and one pass-through for each server before the same upstream, and a second,
 * equal upstream to be called directly, on the CPU on which the others are measured.
 */
export class Stand {
  readonly upstream: UpstreamProcess;
  readonly direct: UpstreamProcess;
  readonly gateway: Gateway;
  readonly floors: readonly PassThrough[];
  readonly #plans: readonly Plan[];

  static async open(lab: Lab, plans: readonly Plan[]): Promise<Stand> {
    const upstream = await lab.startUpstream(plans);
    const direct = await lab.startUpstream(plans, 'direct');
    const floors = await Promise.all(upstream.ports.map((port) => lab.startPassThrough(port)));
    const gateway = await lab.startGateway(
      plans.map(({ name, tools }, index) => ({ namespace: name, upstreams: [{ name, tools, port: upstream.ports[index]! }] })),
    );
    return new Stand(plans, upstream, direct, floors, gateway);
  }

  private constructor(
    plans: readonly Plan[],
    upstream: UpstreamProcess,
    direct: UpstreamProcess,
    floors: readonly PassThrough[],
    gateway: Gateway,
  ) {
    this.#plans = plans;
    this.upstream = upstream;
    this.direct = direct;
    this.floors = floors;
    this.gateway = gateway;
  }

  async behave(behaviour: Partial<Behaviour>): Promise<void> {
    await Promise.all([this.upstream.behave(behaviour), this.direct.behave(behaviour)]);
  }

  targets(names: readonly TargetName[], load: LoadOnServer): Scenario['targets'] {
    return names.map((name) => ({ name, job: this.#job(name, load) }));
  }

  #job(target: TargetName, { server, era, callers, expected, method }: LoadOnServer): Load {
    const { name, tools } = this.#plans[server]!;
    const own = Array.from({ length: tools }, (_, index) => `${name}_echo_${index}`);
    const called =
      target === 'gatehouse' ? this.gateway.tools(name) : own.map((tool): Tool => ({ name: tool, upstreamName: tool }));
    const common = { callers, expected, tools: method === 'tools/list' ? [] : called };
    const otherPids = [this.upstream.child.pid];
    if (target === 'direct') return { ...common, address: this.direct.at(server, era), measuredPid: this.direct.child.pid };
    if (target === 'gatehouse')
      return { ...common, address: this.gateway.at(name, era), measuredPid: this.gateway.pid, otherPids };
    const floor = this.floors[server]!;
    return { ...common, address: floor.at(era), measuredPid: floor.child.pid, otherPids };
  }
}
