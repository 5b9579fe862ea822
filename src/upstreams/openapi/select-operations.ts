import { compileGlob } from '../../catalog/glob.ts';
import type { Operation } from './conversion.ts';

type Test = (operation: Operation) => boolean;

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', '*']);

interface Pattern {
  readonly text: string;
  readonly test: Test;
  hasFit: boolean;
}

/**
 * The operations that an import takes, in their order, and patterns that fit nothing. Thousands of patterns on thousands of operations
 * take a while: others have their turn between two operations.
 */
export async function selectOperations(
  operations: readonly Operation[],
  { include, exclude }: { readonly include: readonly string[]; readonly exclude: readonly string[] },
  turn: () => Promise<void> | undefined,
): Promise<{ readonly chosen: readonly Operation[]; readonly idle: readonly string[] }> {
  const [included, excluded] = [include.map(patternOf), exclude.map(patternOf)];
  const chosen: Operation[] = [];
  for (const operation of operations) {
    await turn();
    const [isIncluded, isExcluded] = [fitsAny(included, operation), fitsAny(excluded, operation)];
    if (isIncluded && !isExcluded) chosen.push(operation);
  }
  return { chosen, idle: [...included, ...excluded].filter(({ hasFit }) => !hasFit).map(({ text }) => text) };
}

function patternOf(text: string): Pattern {
  return { text, test: compilePattern(text), hasFit: false };
}

/** Tries those that fitted nothing yet, too. */
function fitsAny(patterns: readonly Pattern[], operation: Operation): boolean {
  let isFit = false;
  for (const pattern of patterns) {
    if (isFit && pattern.hasFit) continue;
    if (!pattern.test(operation)) continue;
    isFit = true;
    pattern.hasFit = true;
  }
  return isFit;
}

/** `GET /pets/*`, `GET`, `/pets/*`, `tag:pets`, or an operationId or tool name; `*` stands for any run of characters. */
export function compilePattern(pattern: string): Test {
  if (pattern.startsWith('tag:')) {
    const test = compileGlob(pattern.slice(4).trim());
    return ({ tags }) => tags.some(test);
  }
  const [, method = '', path = ''] = /^([A-Za-z]+|\*)\s+(\S.*)$/.exec(pattern) ?? [];
  if (path !== '' && methods.has(method.toUpperCase())) {
    const [isMethod, isPath] = [compileGlob(method.toUpperCase()), compileGlob(path)];
    return (operation) => isMethod(operation.method) && isPath(operation.path);
  }
  if (pattern.startsWith('/')) {
    const test = compileGlob(pattern);
    return (operation) => test(operation.path);
  }
  if (pattern !== '*' && methods.has(pattern)) return (operation) => operation.method === pattern;
  const test = compileGlob(pattern);
  return ({ operationId, tool }) => (operationId !== undefined && test(operationId)) || test(tool.name);
}

/** The name that an import gives to an operation; undefined where it gives none. */
export function renamed(operation: Operation, rename: Readonly<Record<string, string>>): string | undefined {
  for (const key of namesOf(operation)) if (Object.hasOwn(rename, key)) return rename[key];
  return undefined;
}

/** Everything by which an import may call an operation, the most exact first. */
export function namesOf({ id, operationId, tool }: Operation): readonly string[] {
  return operationId === undefined ? [id, tool.name] : [id, operationId, tool.name];
}
