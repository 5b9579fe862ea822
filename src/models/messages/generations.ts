/**
 * What a model can be asked for, by its name. Anthropic has changed its parameters from one generation to the next, and refuses
 * a request (400) that has one too many. Source: the migration guide, the pages on thinking, effort and structured outputs.
 */
export interface Generation {
  /** How it is told to think: not at all, by a number of tokens, or by an effort that it makes of by itself. */
  readonly thinking: 'never' | 'budget' | 'adaptive';
  readonly hasEffort: boolean;
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
    thinking: version < 3.7 ? 'never' : version < 4.6 ? 'budget' : 'adaptive',
    hasEffort: version >= 4.6 || model.includes('opus-4-5'),
    thinksByItself: version >= 5,
    hidesThoughts: version >= 4.7,
    hasSampling: version < 4.7,
    hasOneSamplingOnly: version >= 4.1,
    hasStructuredOutput: version >= 4.5,
    defaultMaxTokens: version < 3.5 ? 4096 : version < 3.7 ? 8192 : version < 4.5 ? 16_384 : 32_000,
  };
}

/**
 * `claude-3-7-sonnet-20250219` is 3.7, `claude-opus-4-1` 4.1, `claude-sonnet-4-20250514` and `claude-sonnet-4@20250514` 4. A name
 * without a number is newer than any with one.
 */
function versionOf(model: string): number {
  const found = /claude-(?:[a-z]+-)?(\d)(?!\d)(?:[-.](\d)(?!\d))?/.exec(model);
  return found === null ? Number.POSITIVE_INFINITY : Number(`${found[1]}.${found[2] ?? 0}`);
}
