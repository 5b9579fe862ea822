import { compileRule, type Rule } from '../../src/policy/rule.ts';
import type { Facts } from '../../src/policy/rule-facts.ts';

/** A developer of the consumer `shop`, on a Wednesday at 18:30 UTC. */
export const facts: Facts = {
  caller: {
    id: 'key:k1',
    kind: 'key',
    roles: ['developer', 'auditor'],
    role: 'developer',
    consumer: 'shop',
    member: '',
    key: 'k1',
    claims: { department: 'hr', level: 3, nested: { deep: true } },
  },
  capability: { name: 'hr/get_leave', namespace: 'hr', upstream: 'people', kind: 'tool', method: 'tools/call' },
  ip: '10.1.2.3',
  nowMs: Date.UTC(2026, 10, 25, 18, 30),
};

export function withCaller(caller: Partial<Facts['caller']>): Facts {
  return { ...facts, caller: { ...facts.caller, ...caller } };
}

/** The rule, which must be one. */
export async function ruleOf(source: string): Promise<Rule> {
  const compiled = await compileRule(source);
  if ('problems' in compiled) throw new Error(`${source}: ${compiled.problems.map(({ message }) => message).join(' ')}`);
  return compiled.rule;
}

export async function rulesOf(...sources: readonly string[]): Promise<readonly Rule[]> {
  return Promise.all(sources.map(ruleOf));
}
