import { compileGlob } from '../../catalog/glob.ts';
import type { Operation } from './conversion.ts';

type Test = (operation: Operation) => boolean;

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY', '*']);

/** The operations that an import takes, in their order, and patterns that fit nothing. */
export function selectOperations(
  operations: readonly Operation[],
  { include, exclude }: { readonly include: readonly string[]; readonly exclude: readonly string[] },
): { readonly chosen: readonly Operation[]; readonly idle: readonly string[] } {
  const [included, excluded] = [include, exclude].map((patterns) => patterns.map(compilePattern)) as [Test[], Test[]];
  const chosen = operations.filter(
    (operation) => included.some((test) => test(operation)) && !excluded.some((test) => test(operation)),
  );
  const idle = [...include, ...exclude].filter(
    (_, at) => !operations.some((operation) => [...included, ...excluded][at]?.(operation)),
  );
  return { chosen, idle };
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
export function renamed({ id, operationId, tool }: Operation, rename: Readonly<Record<string, string>>): string | undefined {
  for (const key of [id, operationId, tool.name]) if (key !== undefined && Object.hasOwn(rename, key)) return rename[key];
  return undefined;
}
