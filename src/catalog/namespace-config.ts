import type { Policy } from '../policy/policy-schema.ts';
import type { ToolboxConfig, UpstreamConfig } from './config.ts';

/** What namespace files say, checked and complete with defaults. `namespace-file.ts` is the format's one definition. */
export interface NamespaceConfig {
  readonly name: string;
  readonly description: string | undefined;
  /** Absolute path of the file that declares it. */
  readonly file: string;
  readonly upstreams: readonly UpstreamConfig[];
  readonly toolboxes: readonly ToolboxConfig[];
  /** What holds its calls; time-outs and breakers of a file are in its upstreams already. */
  readonly policy: Policy;
}
