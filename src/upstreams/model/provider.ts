import type { ClientDialectName, ProviderDialectName, ServerHabits } from '../../models/dialect.ts';
import type { Secret } from '../../secret.ts';
import type { Json } from '../../wire/json.ts';

/** A way of reaching models: what a request's address and credentials are. One file each, all in providers.ts, all under one contract test. */
export interface Provider {
  readonly name: ProviderName;
  /** Dialects the far end speaks, the one to translate into first. A client's own among them: its request is passed on as it is. */
  dialectsOf(target: ProviderTarget): readonly ProviderDialectName[];
  /** Where a request goes. Throws GatewayError `bad_configuration` for a target that lacks something. */
  addressOf(target: ProviderTarget, operation: ModelOperation, isStream: boolean): URL;
  /**
   * Headers that authorize a request, given what is sent: the last thing that happens to it. A promise where a token has to be got
   * first. Rejects with GatewayError `credentials_failed`.
   */
  authorize(
    target: ProviderTarget,
    request: ProviderRequest,
  ): Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;
  /** Its server answered 401 to headers that `authorize` gave: whether asking for them again may give others. */
  refused?(target: ProviderTarget, headers: Readonly<Record<string, string>>, nowMs: number): boolean;
  /** What its servers expect beside what the dialect leaves open; undefined: nothing. */
  readonly habits?: ServerHabits | undefined;
  /** How answers in parts are framed. */
  readonly framing: 'sse' | 'aws-event-stream';
}

export type ProviderName = 'openai' | 'azure' | 'openai-compatible' | 'anthropic' | 'gemini' | 'vertex' | 'bedrock';

export type ModelOperation =
  | { readonly kind: 'generate'; readonly dialect: ProviderDialectName }
  | { readonly kind: 'embed' }
  /** Tokens of a prompt, in a dialect that has a request for it. */
  | { readonly kind: 'count'; readonly dialect: ClientDialectName };

/** Secrets are filled in. */
export interface ProviderTarget {
  readonly provider: ProviderName;
  /** The provider's name for the model; a deployment, for Azure. */
  readonly model: string;
  /** Undefined: the provider's own address. With its path up to where the operations begin, e.g. `https://host/v1`. */
  readonly url: string | undefined;
  readonly credential: ProviderCredential | undefined;
  /** `us-east-1`, `europe-west4`: where the provider has an address for each. */
  readonly region: string | undefined;
  readonly apiVersion: string | undefined;
  /** Of Google Cloud. */
  readonly project: string | undefined;
  /** Undefined: as the provider usually does. */
  readonly dialects: readonly ProviderDialectName[] | undefined;
}

export type ProviderCredential =
  | { readonly kind: 'key'; readonly key: Secret }
  | {
      readonly kind: 'aws';
      readonly accessKeyId: string;
      readonly secretAccessKey: Secret;
      readonly sessionToken: Secret | undefined;
    }
  /** A Google service account's key file, JSON. */
  | { readonly kind: 'google'; readonly account: Secret };

interface ProviderRequest {
  readonly url: URL;
  readonly body: Buffer;
  readonly nowMs: number;
  /** What a client of the same dialect said in headers, names in lower case: some of it belongs to the request. */
  readonly clientHeaders?: Readonly<Record<string, Json | undefined>> | undefined;
}
