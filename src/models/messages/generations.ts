/**
 * What a model can be asked for, by its name. Anthropic has changed its parameters from one generation to the next, and refuses
 * a request (400) that has one too many. Source: the migration guide, the pages on thinking, effort and structured outputs.
 */
export interface Generation {
  /** How it is told to think: not at all, by a number of tokens, or by an effort that it makes of by itself. */
  readonly thinking: 'never' | 'budget' | 'adaptive';
  readonly hasEffort: boolean;
  /** The most that it can be asked for: `xhigh` came after `max`. */
  readonly hasMaxEffort: boolean;
  readonly hasXhighEffort: boolean;
  /** It thinks unless told otherwise, and some of its kind cannot be told. */
  readonly thinksByItself: boolean;
  /** Its thoughts are left out of the answer unless they are asked for. */
  readonly hidesThoughts: boolean;
  readonly hasSampling: boolean;
  /** `temperature` and `top_p` in one request are refused. */
  readonly hasOneSamplingOnly: boolean;
  /** `output_config.format`, and `strict` on tools. */
  readonly hasStructuredOutput: boolean;
  /** Where a client of another dialect says no limit: Anthropic wants one. */
  readonly defaultMaxTokens: number;
}

/** Servers of other makers that speak this dialect do what it had from the start. */
const otherMakers: Generation = {
  thinking: 'budget',
  hasEffort: false,
  hasMaxEffort: false,
  hasXhighEffort: false,
  thinksByItself: false,
  hidesThoughts: false,
  hasSampling: true,
  hasOneSamplingOnly: false,
  hasStructuredOutput: false,
  defaultMaxTokens: 4096,
};

export function generationOf(model: string): Generation {
  if (!model.includes('claude')) return otherMakers;
  const version = versionOf(model);
  return {
    thinking: version < 307 ? 'never' : version < 406 ? 'budget' : 'adaptive',
    hasMaxEffort: version >= 406,
    hasXhighEffort: version >= 407,
    hasEffort: version >= 406 || /opus-4[-.]5/.test(model),
    thinksByItself: version >= 500,
    hidesThoughts: version >= 407,
    hasSampling: version < 407,
    hasOneSamplingOnly: version >= 401,
    hasStructuredOutput: version >= 405,
    defaultMaxTokens: version < 305 ? 4096 : version < 307 ? 8192 : version < 405 ? 16_384 : 32_000,
  };
}

/**
 * Hundreds are what stands before the point: `claude-3-7-sonnet-20250219` is 307, `claude-opus-4-1` 401, `claude-sonnet-4-20250514` and
 * `claude-sonnet-4@20250514` 400. A name without a number is newer than any with one.
 */
function versionOf(model: string): number {
  const found = /claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?/.exec(model);
  return found === null ? Number.POSITIVE_INFINITY : Number(found[1]) * 100 + Number(found[2] ?? 0);
}
