/** Names that a rule compares what it looks at with: a slip of the pen in one makes the comparison say the same for every call. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { factTable } from './rule-facts.ts';

/** `caller.consumer == "app"`, either way round; `in` is one for each text of its list. */
export interface Comparison {
  /** `caller.consumer`. */
  readonly fact: string;
  /** Not empty: that is what there is where there is no such thing. */
  readonly text: string;
}

/** All of them, each once. What is put together at a call's time is none. */
export function comparisonsIn(ast: ASTNode): readonly Comparison[] {
  const found = new Map<string, Comparison>();
  for (const node of nodesIn(ast))
    for (const one of comparisonsOf(node)) if (one.text !== '') found.set(`${one.fact} ${one.text}`, one);
  return [...found.values()];
}

function* nodesIn(part: unknown): Iterable<ASTNode> {
  if (Array.isArray(part)) for (const each of part) yield* nodesIn(each);
  if (!isNode(part)) return;
  yield part;
  yield* nodesIn(part.args);
}

function isNode(part: unknown): part is ASTNode {
  return typeof part === 'object' && part !== null && 'op' in part && 'args' in part;
}

function comparisonsOf(node: ASTNode): readonly Comparison[] {
  if (node.op !== '==' && node.op !== '!=' && node.op !== 'in') return [];
  const [left, right] = node.args;
  return [...between(left, right), ...between(right, left)];
}

function between(looked: ASTNode, written: ASTNode): readonly Comparison[] {
  const fact = factOf(looked);
  if (fact === undefined) return [];
  const texts = written.op === 'list' ? written.args : [written];
  return texts.flatMap(({ op, args }) => (op === 'value' && typeof args === 'string' ? [{ fact, text: args }] : []));
}

function factOf(node: ASTNode): string | undefined {
  if (node.op !== '.') return undefined;
  const [base, member] = node.args;
  const isFact = base.op === 'id' && Object.hasOwn(factTable, base.args) && Object.hasOwn(factTable[base.args] ?? {}, member);
  return isFact ? `${base.args}.${member}` : undefined;
}
