import type { UpstreamConfig } from '../catalog/config.ts';
import { McpUpstream, type McpUpstreamDeps } from './mcp/mcp-upstream.ts';
import { type ModelState, ModelUpstream } from './model/model-upstream.ts';
import type { ModelDeps } from './model/open-model.ts';
import { compareApis } from './openapi/compare-apis.ts';
import { OpenapiUpstream, type OpenapiUpstreamDeps } from './openapi/openapi-upstream.ts';
import type { Upstream } from './upstream.ts';

export interface UpstreamDeps extends McpUpstreamDeps, Omit<OpenapiUpstreamDeps, 'convert'>, ModelDeps {
  /** In place of the converter, for tests. */
  readonly convert?: OpenapiUpstreamDeps['convert'] | undefined;
  /** CPU time that the import of a description may take. */
  readonly importCpuMs?: number | undefined;
  /** The gateway's own administration, which is made where everything is. */
  readonly admin: () => Upstream;
}

type Registered = Exclude<UpstreamConfig['kind'], 'finder'>;

/** Every kind of upstream there is. Adding one is a folder and a line here. */
const kinds: Readonly<Record<Registered, (config: UpstreamConfig, deps: UpstreamDeps) => Upstream>> = {
  mcp: (config, deps) => new McpUpstream(config, deps),
  openapi: (config, deps) => new OpenapiUpstream(config, { ...deps, convert: deps.convert ?? converter(deps.importCpuMs) }),
  model: (config, deps) => new ModelUpstream(config, deps),
  admin: (_config, { admin }) => admin(),
};

function converter(cpuLimitMs: number | undefined): OpenapiUpstreamDeps['convert'] {
  return async (bytes, fetchReference, signal) => {
    // Large, and needed only where a description is new.
    const { convertDescription } = await import('./openapi/convert-description.ts');
    return await convertDescription(bytes, { fetchReference, cpuLimitMs, signal });
  };
}

/** Makes the upstream that a namespace file describes; `start()` connects it. */
export function connectUpstream(config: UpstreamConfig, deps: UpstreamDeps): Upstream {
  if (config.kind === 'finder') throw new Error('the finder is made with the gateway and registered nowhere');
  return kinds[config.kind](config, deps);
}

/** What the second of two upstreams of one kind would change of the first, one line each; undefined where its kind cannot tell. */
export function compareUpstreams(running: Upstream, tried: Upstream): readonly string[] | undefined {
  if (!(running instanceof OpenapiUpstream) || !(tried instanceof OpenapiUpstream)) return undefined;
  if (running.served === undefined || tried.served === undefined) return undefined;
  return compareApis(running.served, tried.served);
}

/** How the targets of a model fare; undefined for what is none. */
export function modelStateOf(upstream: Upstream): ModelState | undefined {
  return upstream instanceof ModelUpstream ? upstream.state : undefined;
}
