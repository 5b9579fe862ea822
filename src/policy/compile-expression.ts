/** Turns a checked CEL expression into functions that evaluate it: with a bound on steps, and with arguments that are not known yet. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { type Comparison, comparisonsIn } from './comparisons.ts';
import { isIn, readIndex, readMember } from './rule-access.ts';
import { applyArithmetic, applyComparison, negate } from './rule-arithmetic.ts';
import { factTable } from './rule-facts.ts';
import { type Apply, compileMatches, compilePart, findFunction, functionNames, isMomentPart } from './rule-function.ts';
import { makeChoice, makeLogic, makeNot } from './rule-logic.ts';
import { makeLoop } from './rule-loop.ts';
import type { Run, Step } from './rule-run.ts';
import { Fault, isEqual, isKnown, isList, isMap, Open, open, spend, type Value } from './rule-value.ts';

/** Something a rule's writer has to change. */
export interface Complaint {
  readonly message: string;
  /** Offset in the rule's text, from 0. */
  readonly at: number;
}

interface Scope {
  /** Names of the variables around a node, outermost first. */
  readonly locals: readonly string[];
  readonly complaints: Complaint[];
  readonly met: { usesArguments: boolean; usesMoment: boolean; nodes: number };
}

export interface Expression {
  readonly step: Step;
  readonly usesArguments: boolean;
  readonly usesMoment: boolean;
  readonly comparisons: readonly Comparison[];
}

/** Everything in the expression that rules do not have is a complaint. */
export function compileExpression(ast: ASTNode): Expression | { readonly complaints: readonly Complaint[] } {
  const scope: Scope = { locals: [], complaints: [], met: { usesArguments: false, usesMoment: false, nodes: 0 } };
  const step = compile(ast, scope);
  const { usesArguments, usesMoment } = scope.met;
  if (scope.complaints.length > 0) return { complaints: scope.complaints };
  return { step, usesArguments, usesMoment, comparisons: comparisonsIn(ast) };
}

function compile(node: ASTNode, scope: Scope): Step {
  const at = node.pos;
  scope.met.nodes++;
  switch (node.op) {
    case 'value':
      return compileLiteral(node.args, node, scope);
    case 'id':
      return compileName(node.args, node, scope);
    case '.':
      return compileSelect(node.args[0], node.args[1], at, scope);
    case '[]':
      return pair(node.args, scope, (_, from, key) => readIndex(from, key, at));
    case 'call':
      return compileCall(node.args[0], node.args[1], node, scope);
    case 'rcall':
      return compileMethod(node.args[0], node.args[1], node.args[2], node, scope);
    case 'list':
      return compileList(node.args, scope);
    case 'map':
      return compileMap(node.args, at, scope);
    case '?:':
      return compileChoice(node.args, at, scope);
    case '||':
      return compileLogic(node.args, at, scope, true);
    case '&&':
      return compileLogic(node.args, at, scope, false);
    case '!_':
      return makeNot(compile(node.args, scope), at);
    case '-_':
      return strict([node.args], scope, (_, [value = null]) => negate(value, at));
    case '==':
      return pair(node.args, scope, isEqual);
    case '!=':
      return pair(node.args, scope, (run, a, b) => !isEqual(run, a, b));
    case 'in':
      return pair(node.args, scope, (run, item, group) => isIn(run, item, group, at));
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const operator = node.op;
      return pair(node.args, scope, (run, a, b) => applyComparison(run, operator, a, b, at));
    }
    case '+':
    case '-':
    case '*':
    case '/':
    case '%': {
      const operator = node.op;
      return pair(node.args, scope, (run, a, b) => {
        // Joining makes a new text or list.
        if (typeof a === 'string' || isList(a)) spend(run, a.length >> 3);
        if (typeof b === 'string' || isList(b)) spend(run, b.length >> 3);
        return applyArithmetic(operator, a, b, at);
      });
    }
    default:
      return complain(scope, at, `Rules have no ${node.op}.`);
  }
}

function complain(scope: Scope, at: number, message: string): Step {
  scope.complaints.push({ message, at });
  return () => open;
}

/** Evaluates both parts; a failed one makes the whole fail, an open one leaves it open. */
function pair([left, right]: readonly [ASTNode, ASTNode], scope: Scope, apply: (run: Run, a: Value, b: Value) => Value): Step {
  const leftStep = compile(left, scope);
  const rightStep = compile(right, scope);
  return (run) => {
    const a = leftStep(run);
    const b = rightStep(run);
    if (a instanceof Fault) return a;
    if (b instanceof Fault) return b;
    return a instanceof Open || b instanceof Open ? open : apply(run, a, b);
  };
}

/** The same for any number of parts. */
function strict(parts: readonly ASTNode[], scope: Scope, apply: (run: Run, values: readonly Value[]) => Value): Step {
  const steps = parts.map((part) => compile(part, scope));
  return (run) => {
    const values = steps.map((step) => step(run));
    const fault = values.find((value) => value instanceof Fault);
    if (fault !== undefined) return fault;
    return values.some((value) => value instanceof Open) ? open : apply(run, values);
  };
}

function compileLiteral(value: unknown, node: ASTNode, scope: Scope): Step {
  if (isLiteral(value)) return () => value;
  return complain(scope, node.pos, 'Rules have no bytes and no unsigned numbers; write a text or a number.');
}

function isLiteral(value: unknown): value is string | number | bigint | boolean | null {
  return value === null || ['boolean', 'string', 'bigint', 'number'].includes(typeof value);
}

function compileList(parts: readonly ASTNode[], scope: Scope): Step {
  const build = strict(parts, scope, (_, items) => items);
  // Most lists are written out ("one of these"): made once.
  const literals = Object.freeze(parts.flatMap(({ op, args }) => (op === 'value' && isLiteral(args) ? [args] : [])));
  return literals.length === parts.length ? () => literals : build;
}

function compileChoice([condition, left, right]: readonly [ASTNode, ASTNode, ASTNode], at: number, scope: Scope): Step {
  return makeChoice([compile(condition, scope), compile(left, scope), compile(right, scope)], at);
}

function compileLogic([left, right]: readonly [ASTNode, ASTNode], at: number, scope: Scope, decides: boolean): Step {
  return makeLogic([compile(left, scope), compile(right, scope)], at, decides);
}

function compileName(name: string, node: ASTNode, scope: Scope): Step {
  const slot = scope.locals.lastIndexOf(name);
  if (slot >= 0) return ({ locals }) => locals[slot] ?? null;
  if (name === 'args') {
    scope.met.usesArguments = true;
    return ({ args }) => args;
  }
  const members = Object.hasOwn(factTable, name) ? Object.keys(factTable[name] ?? {}) : [];
  if (members.length === 0) return complain(scope, node.pos, `"${name}" is no value. ${knownNames}`);
  return complain(
    scope,
    node.pos,
    `"${name}" stands for several things; name one: ${members.map((member) => `${name}.${member}`).join(', ')}.`,
  );
}

/** For messages. */
const knownNames = `Known are args, ${Object.keys(factTable).join(', ')}.`;

function compileSelect(base: ASTNode, member: string, at: number, scope: Scope): Step {
  const fact = findFact(base, member, scope);
  if (fact !== undefined) return ({ facts }) => fact.read(facts);
  const step = compile(base, scope);
  return (run) => {
    const value = step(run);
    return isKnown(value) ? readMember(value, member, at) : value instanceof Fault ? value : open;
  };
}

function findFact(base: ASTNode, member: string, scope: Scope) {
  if (base.op !== 'id' || scope.locals.includes(base.args) || !Object.hasOwn(factTable, base.args)) return undefined;
  const members = factTable[base.args];
  if (base.args !== 'caller' && base.args !== 'capability') scope.met.usesMoment = true;
  return members !== undefined && Object.hasOwn(members, member) ? members[member] : undefined;
}

function compileMap(entries: readonly (readonly [ASTNode, ASTNode])[], at: number, scope: Scope): Step {
  return strict(entries.flat(), scope, (_, values) => {
    const keys = values.filter((_, index) => index % 2 === 0);
    if (!keys.every((key) => typeof key === 'string')) return new Fault('The keys of a map are texts', at);
    // Own members whatever they are called.
    return Object.fromEntries(keys.map((key, index) => [key, values[index * 2 + 1] ?? null]));
  });
}

function compileCall(name: string, parts: readonly ASTNode[], node: ASTNode, scope: Scope): Step {
  const [first] = parts;
  if (name === 'has' && first?.op === '.' && parts.length === 1) return compileHas(first.args[0], first.args[1], node.pos, scope);
  const apply = findFunction(name, parts.length, false);
  if (apply === undefined) return complain(scope, node.pos, noFunction(`${name}()`));
  return strict(parts, scope, (run, values) => apply(run, values, node.pos));
}

function noFunction(name: string): string {
  return `Rules have no ${name} like this. There is ${functionNames()}.`;
}

function compileHas(base: ASTNode, member: string, at: number, scope: Scope): Step {
  if (findFact(base, member, scope) !== undefined) return () => true;
  const step = compile(base, scope);
  return (run) => {
    const value = step(run);
    if (!isKnown(value)) return value instanceof Fault ? value : open;
    return isMap(value) ? Object.hasOwn(value, member) : new Fault('has() looks into maps only', at);
  };
}

function compileMethod(name: string, receiver: ASTNode, parts: readonly ASTNode[], node: ASTNode, scope: Scope): Step {
  if (loopNames.has(name)) return compileLoop(name, receiver, parts, node.pos, scope);
  const apply = findMethod(name, parts) ?? noFunction(`.${name}()`);
  if (typeof apply === 'string') return complain(scope, node.pos, apply);
  return strict([receiver, ...parts], scope, (run, values) => apply(run, values, node.pos));
}

function findMethod(name: string, [first, ...more]: readonly ASTNode[]): Apply | string | undefined {
  if (first === undefined || more.length > 0) return first === undefined ? findFunction(name, 1, true) : undefined;
  const written = first.op === 'value' && typeof first.args === 'string' ? first.args : undefined;
  if (name === 'matches')
    return written === undefined ? 'The pattern of matches() must be written out in the rule.' : compileMatches(written);
  if (!isMomentPart(name)) return findFunction(name, 2, true);
  return written === undefined ? `The time zone of ${name}() must be written out in the rule.` : compilePart(name, written);
}

const loopNames = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

function compileLoop(name: string, receiver: ASTNode, parts: readonly ASTNode[], at: number, scope: Scope): Step {
  const [variable, ...bodies] = parts;
  if (variable?.op !== 'id') return complain(scope, at, noFunction(`.${name}()`));
  if (variable.args === 'args' || Object.hasOwn(factTable, variable.args))
    return complain(scope, variable.pos, `"${variable.args}" means something else here; take another name for the variable.`);
  const group = compile(receiver, scope);
  const slot = scope.locals.length;
  const inner = { ...scope, locals: [...scope.locals, variable.args] };
  const before = scope.met.nodes;
  const steps = bodies.map((body) => compile(body, inner));
  const transform = name === 'map' ? steps.pop() : undefined;
  const weight = scope.met.nodes - before;
  const loop = makeLoop(name, { group, slot, condition: steps[0], transform, weight, at });
  return loop ?? complain(scope, at, noFunction(`.${name}()`));
}
