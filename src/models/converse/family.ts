/** Whose model it is: Converse says the same to all of them, but for what each calls by a name of its own. */
export type Family = 'claude' | 'nova' | 'gpt' | 'other';

/** Of a model id, the id of an inference profile (`us.anthropic.claude-...`) or an ARN that holds one. */
export function familyOf(model: string): Family {
  if (/\banthropic\.|claude/.test(model)) return 'claude';
  if (/\bamazon\.nova/.test(model)) return 'nova';
  return /\bopenai\./.test(model) ? 'gpt' : 'other';
}

/** Whether a Claude decides by itself how long to think (from 4.6 on); those before it are given a budget. */
export function thinksAdaptively(model: string): boolean {
  const [, major, minor] = /claude-[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?!\d)/.exec(model) ?? [];
  if (major === undefined) return false;
  return Number(major) > 4 || (Number(major) === 4 && Number(minor ?? 0) >= 6);
}
