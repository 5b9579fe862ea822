/** What namespace files say of upstreams and toolboxes, checked and complete with defaults. `namespace-file.ts` is the format's one definition. */
export interface UpstreamConfig {
  /** `namespace/name`. */
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  /** `admin` and `finder` are the gateway's own; files declare the others. */
  readonly kind: 'mcp' | 'openapi' | 'model' | 'admin' | 'finder';
  /** For people. */
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  /** `env`, `headers` and `url` as written: `${secret:NAME}` is resolved where they are used. */
  readonly transport:
    | {
        readonly type: 'stdio';
        readonly command: readonly string[];
        readonly env: Readonly<Record<string, string>>;
        /** Absolute. */
        readonly cwd: string | undefined;
      }
    | {
        readonly type: 'http';
        readonly url: string;
        readonly headers: Readonly<Record<string, string>>;
        readonly auth?: UpstreamAuth | undefined;
        /** Registered at run time: only public and allowed addresses are connected to. What a file says is taken as written. */
        readonly isGuarded?: boolean;
      }
    | ApiTransport
    | ModelTransport;
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
  /** Another one whenever a secret that it refers to was set at run time: what connects with it connects anew. */
  readonly secretsRevision?: number | undefined;
  /** Names of secrets that it refers to and that are nowhere; absent where there is none. */
  readonly missingSecrets?: readonly string[] | undefined;
  /** Of the registry: another one when the name was registered anew. Undefined for what a file declares. */
  readonly registration?: string | undefined;
  /** Largest answer. */
  readonly answerLimitBytes: number;
  /** What becomes of definitions that it changes or adds after the first were approved; absent for the gateway's own. */
  readonly review?: DefinitionReview | undefined;
  readonly breaker: {
    readonly errorRate: number;
    readonly minimumCalls: number;
    readonly windowMs: number;
    readonly openMs: number;
  };
  /** What the upstream's own entry says of these: nearer than any policy but a capability's. */
  readonly own?: {
    readonly timeoutMs?: number | undefined;
    readonly breaker?: { readonly [Key in keyof UpstreamConfig['breaker']]?: number | undefined } | undefined;
  };
}

/** An HTTP API, and which part of it becomes tools. */
export interface ApiTransport {
  readonly type: 'openapi';
  readonly description: DescriptionSource;
  /** Undefined: as the description says. */
  readonly baseUrl: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Credentials by the description's names of security schemes; the scheme that `auth` is for stands in neither. */
  readonly credentials: Readonly<Record<string, ApiCredential>>;
  /** The scheme whose tokens are got by OAuth. */
  readonly oauthScheme: string | undefined;
  readonly auth: UpstreamAuth | undefined;
  /** Operations by method and path, tag or operationId; see select-operations.ts. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Method and path, operationId or own name -> name in the namespace. */
  readonly rename: Readonly<Record<string, string>>;
  /** Values by argument, where a caller gives none. */
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly answer: AnswerRules;
  /** Addresses at or below which other documents may be fetched that the description refers to. */
  readonly references: readonly string[];
  readonly isGuarded?: boolean;
}

/** Where the bytes of an API description are, and what they were when this was written: another hash is another description. */
export type DescriptionSource = { readonly sha256: string } & (
  | { readonly kind: 'file'; readonly path: string }
  /** In the registry, under the upstream's id. */
  | { readonly kind: 'kept' }
);

export type ApiCredential =
  | { readonly kind: 'value'; readonly value: string }
  | { readonly kind: 'password'; readonly username: string; readonly password: string };

/** What of an answer is passed on. */
export interface AnswerRules {
  readonly select: readonly string[] | undefined;
  readonly trim: readonly string[];
  readonly maxItems: number | undefined;
  readonly limitBytes: number | undefined;
}

/** A model: where it is, and how calls find their way there. */
export interface ModelTransport {
  readonly type: 'model';
  /** Beside its own name, `namespace/name`. */
  readonly aliases: readonly string[];
  /** At least one; in the order of the file. */
  readonly targets: readonly ModelTarget[];
  readonly routing: ModelRouting;
  readonly contextWindow: number | undefined;
  readonly maxOutputTokens: number | undefined;
  readonly can: readonly ModelAbility[];
  readonly defaults: { readonly maxTokens: number | undefined };
  /** Tools that a provider may run itself, by their names without a date. */
  readonly hostedTools: readonly string[];
  /** What lies with a provider and requests may name: kinds, or `kind:id`. */
  readonly heldIds: readonly string[];
  readonly cache: ModelCache | undefined;
  readonly isGuarded?: boolean;
}

export type ModelAbility = 'text' | 'images' | 'documents' | 'audio' | 'tools' | 'structured' | 'reasoning' | 'embeddings';

export interface ModelTarget {
  /** Unique in the model. */
  readonly name: string;
  readonly provider: 'openai' | 'azure' | 'openai-compatible' | 'anthropic' | 'gemini' | 'vertex' | 'bedrock';
  /** The provider's name for it. */
  readonly model: string;
  /** Undefined: the provider's own address. */
  readonly url: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly credential: ModelCredential | undefined;
  readonly location: string | undefined;
  readonly project: string | undefined;
  readonly apiVersion: string | undefined;
  /** Where data goes, in the operator's words. */
  readonly region: string | undefined;
  readonly weight: number;
  /** What its answers are compared under. */
  readonly version: string;
  /** Undefined: as the provider usually does. */
  readonly dialects: readonly ('chat' | 'responses' | 'completions' | 'messages' | 'gemini' | 'converse')[] | undefined;
  readonly limits: TargetLimits;
  /** Undefined: as the price list says. */
  readonly price: ModelPrice | undefined;
}

/** Secrets as written, `${secret:NAME}`. */
export type ModelCredential =
  | { readonly kind: 'key'; readonly key: string }
  | {
      readonly kind: 'aws';
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string | undefined;
    }
  | { readonly kind: 'google'; readonly account: string };

/** Of one replica. */
export interface TargetLimits {
  /** Calls in a minute. */
  readonly rpm: number | undefined;
  /** Tokens in a minute. */
  readonly tpm: number | undefined;
  /** Calls at the same time. */
  readonly concurrency: number | undefined;
}

/** US dollars per million tokens. */
interface ModelPrice {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

export interface ModelRouting {
  readonly mode: 'priority' | 'weighted' | 'round-robin' | 'least-latency';
  readonly sticky: 'consumer' | 'conversation' | undefined;
  /** The first that fits; its targets are the only ones. */
  readonly rules: readonly { readonly when: string; readonly targets: readonly string[] }[];
  /** The only ones that a call may go to; undefined: any. */
  readonly regions: readonly string[] | undefined;
  readonly failover: ModelFailover;
  /** Most targets for one call. */
  readonly attempts: number;
}

/** When a target leaves routing, and for how long. */
export interface ModelFailover {
  readonly errorRate: number;
  readonly minimumCalls: number;
  readonly windowMs: number;
  readonly consecutiveErrors: number;
  /** An answer that takes longer to begin counts as failed. */
  readonly latencyMs: number | undefined;
  /** One attempt's longest wait for the answer to begin; undefined: 60 s for answers in parts, as long as the call for others. */
  readonly firstByteMs: number | undefined;
  readonly ejectMs: number;
  readonly longestEjectMs: number;
}

interface ModelCache {
  readonly ttlMs: number;
  readonly share: 'consumer' | 'all';
  /** `model` is `namespace/name` of one that makes embeddings. */
  readonly semantic: { readonly model: string; readonly threshold: number } | undefined;
  /** Calls that offer tools are cached as well. */
  readonly tools: boolean;
}

export interface DefinitionReview {
  readonly changes: 'hold' | 'take';
  /** `screen`: taken when the assessment finds nothing in it. */
  readonly additions: 'hold' | 'screen' | 'take';
}

/** How requests to an HTTP upstream are authorized beyond fixed headers. Secrets as written, `${secret:NAME}`. */
export interface UpstreamAuth {
  /** `client-credentials`: Gatehouse in its own name, the same for all callers. `user`: each caller signs in. */
  readonly kind: 'client-credentials' | 'user';
  /** The only authorization server to use; present wherever there is a secret to send, unless `tokenUrl` is. */
  readonly issuer: string | undefined;
  /** Instead of what the issuer's metadata says; `client-credentials` only. */
  readonly tokenUrl: string | undefined;
  /** Undefined: Gatehouse makes itself known; `user` only. */
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
  /** PKCS #8 as PEM. */
  readonly privateKey: string | undefined;
  /** How the client shows that it is itself; undefined: as the server's metadata allows. */
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post' | undefined;
  /** Undefined: what the upstream asks for. */
  readonly scopes: readonly string[] | undefined;
  /** Resource identifier (RFC 8707); undefined: what the upstream publishes. */
  readonly resource: string | undefined;
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
  /** Whether clients are shown a search in place of the list of tools; `auto`: where that is long. */
  readonly search: 'on' | 'off' | 'auto';
  /** Tools that are listed beside the search, as patterns like those of `include`. */
  readonly pinned: readonly string[];
}
