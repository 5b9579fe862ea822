import type { UpstreamConfig } from '../catalog/config.ts';
import { McpUpstream, type McpUpstreamDeps } from './mcp/mcp-upstream.ts';
import type { Upstream } from './upstream.ts';

export interface UpstreamDeps extends McpUpstreamDeps {
  /** The gateway's own administration, which is made where everything is. */
  readonly admin: () => Upstream;
}

type Registered = Exclude<UpstreamConfig['kind'], 'finder'>;

/** Every kind of upstream there is. Adding one is a folder and a line here. */
const kinds: Readonly<Record<Registered, (config: UpstreamConfig, deps: UpstreamDeps) => Upstream>> = {
  mcp: (config, deps) => new McpUpstream(config, deps),
  admin: (_config, { admin }) => admin(),
};

/** Makes the upstream that a namespace file describes; `start()` connects it. */
export function connectUpstream(config: UpstreamConfig, deps: UpstreamDeps): Upstream {
  if (config.kind === 'finder') throw new Error('the finder is made with the gateway and registered nowhere');
  return kinds[config.kind](config, deps);
}
