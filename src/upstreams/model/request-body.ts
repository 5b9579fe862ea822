import { GatewayError } from '../../errors.ts';
import type { ClientDialectName, ServerHabits } from '../../models/dialect.ts';
import type { Json, JsonObject } from '../../wire/json.ts';
import { isObject } from '../../wire/json.ts';
import { memberTexts, writeMembers } from '../../wire/member-texts.ts';
import { fitItems } from './held-ids.ts';
import { refuseHosted } from './hosted-tools.ts';

/** Where each dialect says how long an answer may be; the first is the one to write. */
const lengthMembers: Readonly<Record<ClientDialectName, readonly string[]>> = {
  chat: ['max_completion_tokens', 'max_tokens'],
  responses: ['max_output_tokens'],
  completions: ['max_tokens'],
  messages: ['max_tokens'],
};

/** Most tokens of the answer, as the client says; undefined where it does not. Of two members some servers know the one, some the other. */
export function lengthOf(body: JsonObject, dialect: ClientDialectName): number | undefined {
  const given = lengthMembers[dialect].map((name) => body[name]).filter((value) => typeof value === 'number' && value > 0);
  return given.length === 0 ? undefined : Math.max(...given.map(Number));
}

/** Answers that are wanted to one prompt. */
export function answersOf({ n, best_of: best }: JsonObject): number {
  const many = (value: Json | undefined) => (typeof value === 'number' && value >= 1 ? Math.min(Math.floor(value), 128) : 1);
  return Math.max(many(n), many(best));
}

export interface PassedBody {
  readonly bytes: Buffer;
  /** Gatehouse asked for the usage at the end of the stream; the client did not. */
  readonly keepsUsage: boolean;
}

interface PassWish {
  /** The provider's name for it. */
  readonly model: string;
  readonly isStream: boolean;
  /** Where the client says none. */
  readonly maxTokens: number | undefined;
  readonly habits: ServerHabits | undefined;
  /** Tools that the provider may run. */
  readonly hostedTools: readonly string[];
  /** What lies with the provider and may be named. */
  readonly heldIds: readonly string[];
  /** The id that an item of the caller has at the target; undefined for any other. */
  readonly ownItemId: (id: Json | undefined) => string | undefined;
  /** The response that it goes on from, as the provider calls it. */
  readonly previousId: string | undefined;
  /** `models/fast`. */
  readonly name: string;
}

/**
 * A request that a target speaks as its client does: as it came, for the target's own model. What is not known here stays in it.
 * Throws GatewayError `invalid_request`.
 */
export function passBody(
  body: JsonObject,
  dialect: ClientDialectName,
  { model, isStream, maxTokens, habits, hostedTools, heldIds, ownItemId, previousId, name }: PassWish,
): PassedBody {
  refuseUngoverned(body, dialect);
  refuseElsewhere(body, dialect, name);
  refuseHosted(body, dialect, hostedTools, name);
  const changes: Record<string, Json> = { model };
  if (!isStream && body.stream === true) changes.stream = false;
  if (previousId !== undefined) changes.previous_response_id = previousId;
  const input = dialect === 'responses' ? fitItems(body, heldIds, ownItemId) : undefined;
  if (input !== undefined) changes.input = input;
  const [usual] = lengthMembers[dialect];
  const member = dialect === 'chat' ? (habits?.maxTokensMember ?? usual) : usual;
  if (maxTokens !== undefined && member !== undefined && lengthOf(body, dialect) === undefined) changes[member] = maxTokens;
  const reports = dialect === 'chat' || dialect === 'completions';
  const options = isObject(body.stream_options) ? body.stream_options : {};
  const keepsUsage = isStream && reports && options.include_usage !== true;
  if (keepsUsage) changes.stream_options = { ...options, include_usage: true };
  return { bytes: Buffer.from(writeMembers(memberTexts(body), changes)), keepsUsage };
}

// Some servers take "true" and 1 for true: their answer would come in a form that nobody here waits for, and look like a failure.
function refuseUngoverned({ stream, background }: JsonObject, dialect: ClientDialectName): void {
  if (!isFlag(stream)) throw new GatewayError('invalid_request', '"stream" must be true or false.');
  if (dialect !== 'responses' || background === undefined || background === null || background === false) return;
  throw new GatewayError(
    'invalid_request',
    '"background" must be false: nothing that is answered later can be fetched, inspected or accounted for here. Stream the answer instead.',
  );
}

/**
 * Members by which a client would choose itself which model answers, by way of whom, where, or in whose name: OpenRouter's and other
 * gateways' beside those of Chat Completions, and Anthropic's own.
 */
const ofGateways = [
  'models',
  'route',
  'provider',
  'preset',
  'fallbacks',
  'api_base',
  'base_url',
  'api_key',
  'custom_llm_provider',
];
const elsewhere: Readonly<Record<ClientDialectName, readonly string[]>> = {
  chat: ofGateways,
  responses: ofGateways,
  completions: ofGateways,
  messages: [...ofGateways, 'inference_geo', 'workspace_id', 'user_profile_id', 'billing_policy', 'fallback_credit_token'],
};

/** Members that decide something here. */
const governed: ReadonlySet<string> = new Set([
  ...['model', 'stream', 'stream_options', 'background', 'n', 'best_of', 'store', 'previous_response_id', 'conversation'],
  ...['messages', 'input', 'prompt', 'system', 'instructions', 'suffix', 'audio', 'modalities', 'container', 'thread'],
  ...['tools', 'functions', 'mcp_servers', 'web_search_options', 'search_parameters', 'plugins', 'data_sources'],
  ...Object.values(lengthMembers).flat(),
  ...Object.values(elsewhere).flat(),
]);

const plainName = /^[a-z0-9_]*$/;

/** Servers written in Go read `Model` as `model`, and the last of both counts: it would be another one than was looked at here. */
function refuseMisspelled(body: JsonObject): void {
  for (const name of Object.keys(body)) {
    if (plainName.test(name)) continue;
    // By way of capitals: some letters beyond ASCII have one of ASCII.
    const plain = name.slice(0, 64).toUpperCase().toLowerCase();
    if (!governed.has(plain)) continue;
    const text = `Write "${plain}" in small letters: some providers would read ${JSON.stringify(name)} as the same, and others not.`;
    throw new GatewayError('invalid_request', text, { data: { param: name } });
  }
}

/**
 * Who may call which model, what it costs and where its data goes was decided for the model that was asked for. Throws GatewayError
 * `invalid_request`.
 */
export function refuseElsewhere(body: JsonObject, dialect: ClientDialectName, model: string): void {
  refuseMisspelled(body);
  const member = elsewhere[dialect].find((name) => body[name] !== undefined && body[name] !== null);
  if (member === undefined) return;
  throw new GatewayError(
    'invalid_request',
    `"${member}" would have the provider choose another model, place or account than ${model} is declared with. Leave it out; which targets a call may go to is for whoever administers the model to say.`,
    { data: { param: member } },
  );
}

function isFlag(value: Json | undefined): boolean {
  return value === undefined || value === null || typeof value === 'boolean';
}
