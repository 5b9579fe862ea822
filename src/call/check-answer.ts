/** Refuses, where a policy says so, answers of MCP servers that are not what their tool promises, and otherwise notes it. */
import type { AnswerChecks, AnswerFlaw } from '../arguments/answer-check.ts';
import type { ContentHit } from '../content/screen.ts';
import type { Answer } from '../upstreams/upstream.ts';
import type { RawResult } from '../wire/message.ts';
import type { Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { ContentRefusal } from './screen.ts';

/** One thing that is wrong. */
interface Flaw {
  readonly rule: keyof typeof hits;
  /** For people; nothing of what was answered is in it but names of members, in part. */
  readonly sentence: string;
}

/** What is put on record, and where in the answer it is. */
const hits = {
  /** An answer of 2026-07-28 does not say what kind of answer it is. */
  'answer/result-type': hit('answer/result-type', '/resultType'),
  /** Neither true nor false. */
  'answer/is-error': hit('answer/is-error', '/isError'),
  /** The tool promises structured content, and there is none. */
  'answer/no-structure': hit('answer/no-structure', '/structuredContent'),
  /** There is, and not of the promised shape. */
  'answer/schema': hit('answer/schema', '/structuredContent'),
  /** Whether it is cannot be told. */
  'answer/unchecked': hit('answer/unchecked', '/structuredContent'),
} as const;

function hit(ruleId: string, pointer: string): { readonly flag: ContentHit; readonly block: ContentHit } {
  const common = { ruleId, category: 'answer', severity: 'medium', direction: 'out', pointer, count: 1 } as const;
  return { flag: Object.freeze({ ...common, action: 'flag' }), block: Object.freeze({ ...common, action: 'block' }) };
}

/** Names of these hits, which stand on the record as those of content rules do. */
export const answerRules: readonly string[] = Object.keys(hits);

const none: readonly ContentHit[] = Object.freeze([]);

/** Has the schema compiled that the answer will be checked against: its upstream is not done yet. */
export function expectAnswer(checks: AnswerChecks, { tool, member, policy }: Permit): void {
  const { outputSchema } = tool ?? noTool;
  if (isSchema(outputSchema) && member.config.kind === 'mcp' && policy.answers !== 'off') checks.prepare(outputSchema);
}

/**
 * What is wrong with it, for the record. At once for nearly all. Throws, or rejects with, GatewayError `upstream_failed` where the policy
 * blocks. What other kinds of upstreams answer was made here.
 */
export function checkAnswer(
  checks: AnswerChecks,
  permit: Permit,
  ask: Ask,
  answer: Answer,
): readonly ContentHit[] | Promise<readonly ContentHit[]> {
  if (answer.kind !== 'result' || permit.member.config.kind !== 'mcp' || permit.policy.answers === 'off') return none;
  const flaws: Flaw[] | undefined = answer.lacksResultType === true ? [untyped] : undefined;
  if (ask.method !== 'tools/call') return flaws === undefined ? none : judge(checks, permit, flaws);
  const { result } = answer;
  const isError = errorMark(result);
  const all = isError === 'odd' ? [...(flaws ?? []), oddError] : flaws;
  const { outputSchema } = permit.tool ?? noTool;
  // What a tool says of its failure need not be what it promises otherwise (MCP 2025-11-25 and 2026-07-28 server/tools).
  if (!isSchema(outputSchema) || isError === 'true') return all === undefined ? none : judge(checks, permit, all);
  const found = checkStructure(checks, outputSchema, result);
  if (found instanceof Promise) return found.then((late) => judge(checks, permit, [...(all ?? []), ...late]));
  return all === undefined && found.length === 0 ? none : judge(checks, permit, [...(all ?? []), ...found]);
}

const noTool: { readonly outputSchema?: unknown } = Object.freeze({});
const fits: readonly Flaw[] = Object.freeze([]);
const untyped: Flaw = { rule: 'answer/result-type', sentence: 'it has no "resultType"' };
const oddError: Flaw = { rule: 'answer/is-error', sentence: '"isError" is neither true nor false' };
const unstructured: readonly Flaw[] = [
  { rule: 'answer/no-structure', sentence: 'it has no structured content, which the tool promises' },
];

/** By the first byte of its value: an answer is not parsed for it. */
function errorMark({ members, bytes }: RawResult): 'true' | 'false' | 'odd' {
  for (const { key, start } of members) {
    if (key !== 'isError') continue;
    return bytes[start] === 0x74 ? 'true' : bytes[start] === 0x66 ? 'false' : 'odd';
  }
  return 'false';
}

function checkStructure(
  checks: AnswerChecks,
  outputSchema: Parameters<AnswerChecks['check']>[0],
  { members, bytes }: RawResult,
): readonly Flaw[] | Promise<readonly Flaw[]> {
  for (const { key, start, end } of members) {
    if (key !== 'structuredContent') continue;
    const found = checks.check(outputSchema, bytes.subarray(start, end));
    return found instanceof Promise ? found.then(describe) : describe(found);
  }
  return unstructured;
}

function describe(found: AnswerFlaw | undefined): readonly Flaw[] {
  if (found === undefined) return fits;
  if (found.kind === 'misfit') return [{ rule: 'answer/schema', sentence: found.sentence.replace(/\.$/, '') }];
  return [{ rule: 'answer/unchecked', sentence: `whether it is cannot be told, as ${found.why}` }];
}

function judge(checks: AnswerChecks, { policy, capability, member }: Permit, flaws: readonly Flaw[]): readonly ContentHit[] {
  if (flaws.length === 0) return none;
  for (const { rule, sentence } of flaws) checks.note(capability, rule, sentence);
  if (policy.answers !== 'block') return flaws.map(({ rule }) => hits[rule].flag);
  const reasons = flaws.map(({ sentence }) => sentence).join('; ');
  throw new ContentRefusal(
    `The call of ${capability} was carried out, but what ${member.id} answered is not passed on: it is not what its tool promises (${reasons}). Do not call again for that; ask whoever operates it.`,
    flaws.map(({ rule }) => hits[rule].block),
    'upstream_failed',
  );
}

function isSchema(schema: unknown): schema is Parameters<AnswerChecks['check']>[0] {
  return typeof schema === 'object' && schema !== null && !Array.isArray(schema);
}
