import type { ModelTransport } from '../../catalog/config.ts';
import type { HmacKey } from '../../hmac.ts';
import type { ClientDialectName } from '../../models/dialect.ts';
import { reservedCost } from '../../models/prices.ts';
import type { Usage } from '../../models/reply.ts';
import { estimateTokens } from '../../models/tokens.ts';
import type { Rule } from '../../policy/rule.ts';
import type { Facts } from '../../policy/rule-facts.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { CallEstimate, UpstreamCall } from '../upstream.ts';
import type { HeldMark } from './held-marks.ts';
import type { OpenTarget } from './open-target.ts';
import { answersOf, lengthOf } from './request-body.ts';
import type { Routing } from './routing.ts';

/** What the calls of one model have in common. */
export interface ModelCallPorts {
  readonly id: string;
  readonly transport: ModelTransport;
  readonly targets: readonly OpenTarget[];
  readonly routing: Routing;
  readonly rules: readonly { readonly rule: Rule; readonly targets: readonly number[] }[];
  readonly factsOf: (call: UpstreamCall) => Facts;
  /** The targets hold several versions, between which calls are spread. */
  readonly isCompared: boolean;
  /** Proves whose the ids of responses are. */
  readonly responseKey: HmacKey;
  readonly nowMs: () => number;
  /** Is told where a provider told of more tokens than there can be, and what is counted instead. */
  readonly onDisbelief: (target: string, told: Usage, counted: Usage) => void;
}

/** What a client asked of a model. */
export interface ModelAsk {
  readonly dialect: ClientDialectName;
  readonly body: JsonObject;
  /** What it names of earlier answers that lies with a target. */
  readonly held?: readonly HeldMark[];
}

export interface EmbeddingAsk {
  readonly dialect: 'embeddings';
  readonly body: JsonObject;
  readonly held?: undefined;
}

/** Where nobody says how long an answer may be. */
const usualAnswerTokens = 1_024;

/** What a call may use up, for what is reserved at its entry: its prompt, and the longest answer that it allows. */
export function estimateCall({ transport, targets }: ModelCallPorts, { dialect, body }: ModelAsk | EmbeddingAsk): CallEstimate {
  const input = estimateTokens(body, dialect);
  const output = dialect === 'embeddings' ? 0 : answerTokens(transport, dialect, body);
  const costs = targets.map(({ price }) => (price === undefined ? 0 : reservedCost(input, output, price)));
  return { tokens: input + output, nanoUsd: Math.max(0, ...costs) };
}

/** No model answers at such length, and no limit is as large: a client that names more tokens means none. */
const mostAnswerTokens = 10_000_000;

function answerTokens({ defaults, maxOutputTokens }: ModelTransport, dialect: ClientDialectName, body: JsonObject): number {
  const one = lengthOf(body, dialect) ?? defaults.maxTokens ?? usualAnswerTokens;
  return Math.min(Math.ceil(one), maxOutputTokens ?? mostAnswerTokens, mostAnswerTokens) * answersOf(body);
}
