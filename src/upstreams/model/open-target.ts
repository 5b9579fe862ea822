import type { Dispatcher } from 'undici';
import type { ModelCredential, ModelTarget } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import type { ClientDialectName, ProviderDialectName } from '../../models/dialect.ts';
import type { Price } from '../../models/prices.ts';
import { Secret } from '../../secret.ts';
import { isObject } from '../../wire/json.ts';
import { secretForms, secretsByName } from '../blank-out.ts';
import type { EgressGuard } from '../egress.ts';
import { resolveAll } from '../fill-secrets.ts';
import { openPool } from '../origin-pool.ts';
import type { UpstreamCall } from '../upstream.ts';
import type { ModelOperation, Provider, ProviderCredential, ProviderTarget } from './provider.ts';
import { type BodySink, type ProviderAnswer, type ProviderHead, post } from './provider-exchange.ts';

interface TargetPorts {
  readonly resolveSecrets: (text: string) => string;
  readonly egress: Pick<EgressGuard, 'connect'>;
  readonly clock: Clock;
  readonly isGuarded: boolean;
  /** Calls at the same time. */
  readonly concurrency: number;
  /** What a call to it costs; undefined where nobody knows. */
  readonly priceOf: (target: ModelTarget) => Price | undefined;
}

/** What is sent to a target, and how its answer is taken. */
interface TargetRequest {
  readonly operation: ModelOperation;
  readonly isStream: boolean;
  readonly body: Buffer;
  readonly firstByteMs: number | undefined;
  readonly sinkFor: (head: ProviderHead) => BodySink | undefined;
}

/** A target with its secrets filled in and its connections kept. */
export class OpenTarget {
  readonly config: ModelTarget;
  readonly provider: Provider;
  /** The one to translate into first. */
  readonly dialects: readonly ProviderDialectName[];
  /** Blanked out of whatever comes from there; more of them with each token that is got. */
  secrets: readonly Buffer[];
  /** `The target primary of models/fast`: how sentences begin. */
  readonly subject: string;
  readonly #target: ProviderTarget;
  readonly #headers: readonly string[];
  readonly #fixedSecrets: readonly string[];
  /** The last ones that were got: answers to the one before may still be on their way. */
  #tokens: readonly string[] = [];
  readonly #ports: TargetPorts;
  #isClosed = false;
  readonly #addresses = new Map<string, URL>();
  readonly #pools = new Map<string, Dispatcher>();

  /** Throws GatewayError `bad_configuration`. */
  constructor(modelId: string, config: ModelTarget, provider: Provider, ports: TargetPorts) {
    const { model, url, location, apiVersion, project, dialects } = config;
    const filled = resolveAll(config.headers, ports);
    const credential = fillCredential(config.credential, ports);
    this.config = config;
    this.provider = provider;
    this.subject = `The target ${config.name} of ${modelId}`;
    this.#ports = ports;
    this.#target = { provider: config.provider, model, url, credential, region: location, apiVersion, project, dialects };
    this.#headers = Object.entries(filled).flat();
    this.#fixedSecrets = [...revealed(credential), ...secretsByName(Object.entries(filled))];
    this.secrets = secretForms(this.#fixedSecrets);
    this.dialects = provider.dialectsOf(this.#target);
    // Whatever is missing for an address shows now and not at the first call.
    const [first] = this.dialects;
    if (first !== undefined) this.#addressOf({ kind: 'generate', dialect: first }, false);
  }

  get price(): Price | undefined {
    return this.#ports.priceOf(this.config);
  }

  /** Whether it speaks a client's dialect itself. */
  speaks(dialect: ClientDialectName): boolean {
    return this.dialects.includes(dialect);
  }

  /** Whether it can be asked this at all. */
  can(operation: ModelOperation): boolean {
    try {
      this.#addressOf(operation, false);
      return true;
    } catch {
      return false;
    }
  }

  /** Rejects as `post` does, and with GatewayError `credentials_failed`, then before the provider heard of it. */
  send(request: TargetRequest, call: UpstreamCall): Promise<ProviderAnswer> {
    const url = this.#addressOf(request.operation, request.isStream);
    if (this.#target.credential?.kind === 'google') return this.#sendWithToken(url, request, call);
    const authorized = this.#authorize(url, request, call);
    return authorized instanceof Promise
      ? authorized.then((headers) => this.#post(url, request, call, headers))
      : this.#post(url, request, call, authorized);
  }

  /** A token can be taken back before its time: what is refused for it goes out once more, with the next one. */
  async #sendWithToken(url: URL, request: TargetRequest, call: UpstreamCall): Promise<ProviderAnswer> {
    const headers = await this.#authorize(url, request, call);
    const answer = await this.#post(url, request, call, headers);
    if (answer.status !== 401 || this.provider.refused?.(this.#target, headers, this.#ports.clock.nowMs()) !== true)
      return answer;
    return this.#post(url, request, call, await this.#authorize(url, request, call));
  }

  #authorize(url: URL, { body }: TargetRequest, { params: { clientHeaders: said } }: UpstreamCall) {
    const clientHeaders = isObject(said) ? said : undefined;
    return this.provider.authorize(this.#target, { url, body, nowMs: this.#ports.clock.nowMs(), clientHeaders });
  }

  /** Whatever fails from then on says nothing of the provider. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  async close(error: Error): Promise<void> {
    this.#isClosed = true;
    await Promise.all(Array.from(this.#pools.values(), (pool) => pool.destroy(error)));
  }

  #post(
    url: URL,
    { body, isStream, firstByteMs, sinkFor }: TargetRequest,
    { cancel, limitBytes, traceContext }: UpstreamCall,
    authorization: Readonly<Record<string, string>>,
  ): Promise<ProviderAnswer> {
    const accept = !isStream
      ? 'application/json'
      : this.provider.framing === 'sse'
        ? 'text/event-stream'
        : 'application/vnd.amazon.eventstream';
    const headers = ['content-type', 'application/json', 'accept', accept, ...this.#headers];
    for (const [name, value] of Object.entries(authorization)) headers.push(name, value);
    if (this.#target.credential?.kind === 'google') this.#blankToken(authorization.authorization ?? '');
    if (traceContext !== undefined) {
      headers.push('traceparent', traceContext.traceparent);
      if (traceContext.tracestate !== undefined) headers.push('tracestate', traceContext.tracestate);
    }
    const where = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
    const path = url.pathname + url.search;
    const { subject } = this;
    return post({ pool: this.#poolOf(url), path, headers, body, subject, where, limitBytes, firstByteMs, cancel }, sinkFor);
  }

  #blankToken(header: string): void {
    const token = header.replace(/^Bearer /, '');
    if (this.#tokens.includes(token)) return;
    this.#tokens = [token, ...this.#tokens].slice(0, 2);
    this.secrets = secretForms([...this.#fixedSecrets, ...this.#tokens]);
  }

  #addressOf(operation: ModelOperation, isStream: boolean): URL {
    const key = operation.kind === 'embed' ? 'embed' : `${operation.kind} ${operation.dialect} ${isStream}`;
    let url = this.#addresses.get(key);
    if (url === undefined) {
      url = this.provider.addressOf(this.#target, operation, isStream);
      this.#addresses.set(key, url);
    }
    return url;
  }

  #poolOf(url: URL): Dispatcher {
    let pool = this.#pools.get(url.origin);
    if (pool === undefined) {
      const { egress, isGuarded, concurrency } = this.#ports;
      pool = openPool({ url, egress, isGuarded, concurrency });
      this.#pools.set(url.origin, pool);
    }
    return pool;
  }
}

function fillCredential(
  credential: ModelCredential | undefined,
  { resolveSecrets }: TargetPorts,
): ProviderCredential | undefined {
  if (credential === undefined) return undefined;
  const secret = (text: string) => new Secret(resolveSecrets(text));
  if (credential.kind === 'key') return { kind: 'key', key: secret(credential.key) };
  if (credential.kind === 'google') return { kind: 'google', account: secret(credential.account) };
  const { accessKeyId, secretAccessKey, sessionToken } = credential;
  return {
    kind: 'aws',
    accessKeyId: resolveSecrets(accessKeyId),
    secretAccessKey: secret(secretAccessKey),
    sessionToken: sessionToken === undefined ? undefined : secret(sessionToken),
  };
}

function revealed(credential: ProviderCredential | undefined): readonly string[] {
  if (credential === undefined) return [];
  if (credential.kind === 'key') return [credential.key.reveal().trim()];
  if (credential.kind === 'google') return privateKeyOf(credential.account.reveal());
  const { accessKeyId, secretAccessKey, sessionToken } = credential;
  return [secretAccessKey.reveal(), accessKeyId, ...(sessionToken === undefined ? [] : [sessionToken.reveal()])];
}

/** Of a service account's key file. */
function privateKeyOf(text: string): readonly string[] {
  try {
    const file: unknown = JSON.parse(text);
    return isObject(file) && typeof file.private_key === 'string' ? [file.private_key] : [];
  } catch {
    return [];
  }
}
