import type { ArgumentChecks } from '../arguments/argument-check.ts';
import type { Capability } from '../catalog/catalog.ts';
import { documentationUri } from '../catalog/documentation-uri.ts';
import { type FilledIn, filledInFor } from '../catalog/filled-in.ts';
import { lastFailure } from '../catalog/last-failure.ts';
import type { ErrorCode } from '../errors.ts';
import type { CallPolicy } from '../policy/policy.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type Risk, riskOf } from './risk.ts';
import { sampleArguments } from './sample-arguments.ts';
import { rowsOf, type SchemaRows } from './schema-rows.ts';
import { type Snippets, snippetsFor } from './snippets.ts';
import { examplesOf, tagsOf } from './tags.ts';

/** Everything that can be said of a tool, for somebody who may call it. Texts are as its upstream wrote them. */
export interface Documentation {
  /** `namespace/name`. */
  readonly name: string;
  readonly uri: string;
  /** What clients call it at `url`. */
  readonly calledAs: string;
  readonly url: string;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly namespace: string;
  readonly upstream: string;
  readonly tags: readonly string[];
  readonly risk: Risk;
  readonly input: SchemaRows;
  /** What the gateway puts in where a caller leaves it out. */
  readonly filledIn: readonly FilledIn[];
  /** Undefined where the tool promises no structured answer. */
  readonly output: SchemaRows | undefined;
  readonly examples: readonly WorkedExample[];
  readonly limits: readonly string[];
  readonly timeoutMs: number;
  readonly maxDurationMs: number;
  /** Rules look at who calls and at the arguments. */
  readonly hasRules: boolean;
  readonly gates: readonly string[];
  readonly errors: readonly { readonly code: ErrorCode; readonly meaning: string }[];
  readonly health: { readonly state: string; readonly lastError: string | undefined };
  readonly snippets: Snippets;
}

interface WorkedExample {
  readonly title: string;
  readonly arguments: JsonObject;
}

/** What a description needs besides the capability. */
export interface Surroundings {
  readonly url: string;
  readonly policy: CallPolicy;
  /** What holds the calls of whoever reads this, in words. */
  readonly limits: readonly string[];
  readonly gates: readonly string[];
  readonly checks: ArgumentChecks;
}

export async function describe(capability: Capability<ToolDefinition>, around: Surroundings): Promise<Documentation> {
  const { name, outwardName, member, published, definition } = capability;
  const { url, policy, limits, gates } = around;
  const { config, upstream } = member;
  const { state } = upstream.health();
  const examples = await examplesFor(definition, around.checks);
  const [first] = examples;
  return {
    name,
    uri: documentationUri(name),
    calledAs: outwardName,
    url,
    title: text(published.title),
    description: text(published.description),
    namespace: config.namespace,
    upstream: member.id,
    tags: tagsOf(definition),
    risk: riskOf(published),
    input: rowsOf(published.inputSchema),
    filledIn: filledInFor(definition, upstream.offer().filledIn),
    output: isObject(published.outputSchema) ? rowsOf(published.outputSchema) : undefined,
    examples,
    limits,
    timeoutMs: policy.timeoutMs ?? config.timeoutMs,
    maxDurationMs: config.maxDurationMs,
    hasRules: policy.rules.length > 0,
    gates,
    errors: errorsOf(capability, around),
    health: { state, lastError: lastFailure(member)?.message },
    snippets: snippetsFor({ url, tool: outwardName, arguments: first?.arguments ?? {}, inputSchema: definition.inputSchema }),
  };
}

/** Those of the description, and where it has none a made one. Only what the tool itself would take is shown. */
async function examplesFor(definition: ToolDefinition, checks: ArgumentChecks): Promise<readonly WorkedExample[]> {
  const check = checks.of(definition.inputSchema);
  const isValid = async (args: JsonObject) => (await check.check(args)) === undefined;
  const valid: WorkedExample[] = [];
  for (const given of examplesOf(definition)) if (await isValid(given.arguments)) valid.push(given);
  if (valid.length > 0) return valid;
  const made = sampleArguments(definition.inputSchema);
  return (await isValid(made)) ? [{ title: 'With what is required', arguments: made }] : [];
}

const meanings = {
  bad_arguments: 'The arguments do not fit the input schema. The message names the place; correct it and call again.',
  not_allowed: 'No rule allows these arguments for this caller. Other arguments may be allowed.',
  rate_limited: 'A limit of the caller is used up (HTTP 429). Retry-After says when to call again.',
  limit_reached: 'A limit that others share is used up. The message says when to call again.',
  approval_pending:
    'Somebody has to agree to this exact call first. The message says who and where; repeat the call once they have.',
  approval_denied: 'Somebody looked at this exact call and did not agree. The message has the reason; do something else.',
  approval_unavailable: 'What was agreed to cannot be looked up right now, so nothing was done. Call again later.',
  content_blocked: 'The arguments or the answer hold what must not pass, such as secrets. Leave it out.',
  judge_unavailable:
    'What is sent, or what comes back, has to be judged first, and the judge does not answer. The message says whether anything was done, and when to call again.',
  sign_in_required: 'The caller has to sign in to the upstream first, at the address in the message.',
  upstream_timeout: 'There was no answer in time. The call may have been carried out all the same: check before repeating it.',
  upstream_unavailable: 'The upstream cannot be reached. Nothing was done; call again later.',
  model_not_ready: 'The setup of the model is not complete. Nothing was done; tell whoever administers its namespace.',
  upstream_busy: 'As many calls as may are running already. Call again shortly.',
  upstream_limited: 'The provider of the model has no room for more calls. The message says when to call again.',
  breaker_open: 'The upstream has failed too often and is left alone for a while. The message says how long.',
  upstream_failed: 'The upstream answered with something that is no answer.',
  answer_too_large: 'The answer is larger than may be passed on. Ask for less.',
} as const satisfies Partial<Record<ErrorCode, string>>;

function errorsOf({ member }: Capability<ToolDefinition>, { policy, limits, gates }: Surroundings): Documentation['errors'] {
  const { transport } = member.config;
  const applies: Partial<Record<ErrorCode, boolean>> = {
    not_allowed: policy.rules.length > 0,
    rate_limited: limits.length > 0,
    limit_reached: limits.length > 0,
    approval_pending: gates.length > 0,
    approval_denied: gates.length > 0,
    approval_unavailable: gates.length > 0,
    content_blocked: policy.contentIn !== undefined || policy.contentOut !== undefined,
    judge_unavailable: policy.judgesIn.length > 0 || policy.judgesOut.length > 0,
    model_not_ready: transport.type === 'model',
    upstream_limited: transport.type === 'model',
    sign_in_required: transport.type === 'http' && transport.auth?.kind === 'user',
  };
  return (Object.keys(meanings) as (keyof typeof meanings)[])
    .filter((code) => applies[code] !== false)
    .map((code) => ({ code, meaning: meanings[code] }));
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
