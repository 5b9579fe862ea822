/** What namespace files say, checked and complete with defaults. `namespace-file.ts` is the format's one definition. */
export interface NamespaceConfig {
  readonly name: string;
  readonly description: string | undefined;
  /** Absolute path of the file that declares it. */
  readonly file: string;
  readonly upstreams: readonly UpstreamConfig[];
  readonly toolboxes: readonly ToolboxConfig[];
}

export interface UpstreamConfig {
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly kind: 'mcp';
  /** `env`, `headers` and `url` as written: `${secret:NAME}` is resolved where they are used. */
  readonly transport:
    | {
        readonly type: 'stdio';
        readonly command: readonly string[];
        readonly env: Readonly<Record<string, string>>;
        /** Absolute. */
        readonly cwd: string | undefined;
      }
    | { readonly type: 'http'; readonly url: string; readonly headers: Readonly<Record<string, string>> };
  /** `auto` probes; the others pin. */
  readonly era: 'auto' | 'modern' | 'legacy';
  /** `shared`: one connection for all; `each`: one per client session; `auto`: shared until the upstream turns out to need more. */
  readonly sessions: 'auto' | 'shared' | 'each';
  /** Longest silence of one call; progress starts it again. */
  readonly timeoutMs: number;
  /** Longest a call may take in all. */
  readonly maxDurationMs: number;
  readonly concurrency: number;
  /** Globs over the upstream's own tool and prompt names; applied before the toolboxes. An empty list takes nothing. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Own name -> name in the namespace. */
  readonly rename: Readonly<Record<string, string>>;
  /** Largest answer. */
  readonly answerLimitBytes: number;
  readonly breaker: {
    readonly errorRate: number;
    readonly minimumCalls: number;
    readonly windowMs: number;
    readonly openMs: number;
  };
}

export interface ToolboxConfig {
  readonly name: string;
  readonly namespace: string;
  readonly title: string | undefined;
  readonly description: string | undefined;
  /** Patterns as toolbox-pattern.ts reads them: `namespace`, `namespace/name*`, `namespace/upstream/name*`. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** `one-to-one`: the single upstream's own names and URIs. */
  readonly names: 'prefixed' | 'one-to-one';
}
