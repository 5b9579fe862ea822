/** What is different in a newer version of a description: what did not change keeps serving, everything else is looked at. */
import type { Conversion, Operation } from './conversion.ts';

export type ChangedPart =
  /** Title, description, tags. */
  | 'texts'
  | 'name'
  | 'arguments'
  | 'answer'
  /** How the arguments are sent. */
  | 'request'
  | 'method'
  | 'path'
  /** Hints that say whether it changes anything. */
  | 'risk'
  | 'server'
  | 'security';

export interface ChangedOperation {
  readonly before: Operation;
  readonly after: Operation;
  readonly parts: readonly ChangedPart[];
}

export interface ConversionDiff {
  readonly added: readonly Operation[];
  readonly removed: readonly Operation[];
  /** Those that are told by method and path, and those that took over the name of one that is gone. */
  readonly changed: readonly ChangedOperation[];
  readonly unchanged: number;
  /** Of the document: where it says that the API is. */
  readonly hasOtherServers: boolean;
}

export function diffConversions(before: Conversion, after: Conversion): ConversionDiff {
  const old = new Map(before.operations.map((operation) => [operation.id, operation]));
  const current = new Set(after.operations.map(({ id }) => id));
  const gone = before.operations.filter(({ id }) => !current.has(id));
  const goneByName = new Map(gone.map((operation) => [operation.tool.name, operation]));
  const pairs = after.operations.map((operation) => ({
    after: operation,
    before: old.get(operation.id) ?? goneByName.get(operation.tool.name),
  }));
  const replaced = new Set(pairs.map((pair) => pair.before?.id));
  const compared = pairs.flatMap((pair) =>
    pair.before === undefined ? [] : [{ ...pair, before: pair.before, parts: compare(pair.before, pair.after, before, after) }],
  );
  return {
    added: pairs.flatMap((pair) => (pair.before === undefined ? [pair.after] : [])),
    removed: gone.filter(({ id }) => !replaced.has(id)),
    changed: compared.filter(({ parts }) => parts.length > 0),
    unchanged: compared.filter(({ parts }) => parts.length === 0).length,
    hasOtherServers: canonical(before.servers) !== canonical(after.servers),
  };
}

function compare(before: Operation, after: Operation, old: Conversion, current: Conversion): ChangedPart[] {
  const { server, ...request } = before.request;
  const { server: newServer, ...newRequest } = after.request;
  const pairs: readonly (readonly [ChangedPart, unknown, unknown])[] = [
    ['texts', textsOf(before), textsOf(after)],
    ['name', before.tool.name, after.tool.name],
    ['arguments', before.tool.inputSchema, after.tool.inputSchema],
    ['answer', [before.tool.outputSchema, before.answer], [after.tool.outputSchema, after.answer]],
    ['request', request, newRequest],
    ['method', before.method, after.method],
    ['path', before.path, after.path],
    ['risk', before.tool.annotations, after.tool.annotations],
    ['server', server, newServer],
    ['security', securityOf(before, old), securityOf(after, current)],
  ];
  return pairs.filter(([, one, other]) => canonical(one) !== canonical(other)).map(([part]) => part);
}

function textsOf({ tool, tags }: Operation): unknown {
  return [tool.title, tool.description, tags];
}

/** With what the schemes are, not only what they are called. */
function securityOf({ security }: Operation, { securitySchemes }: Conversion): unknown {
  return security.map((alternative) =>
    Object.entries(alternative).map(([name, scopes]) => [name, [...scopes].sort(), securitySchemes[name]]),
  );
}

/** JSON in which the order of members does not show. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, member: unknown) => {
      if (typeof member !== 'object' || member === null || Array.isArray(member)) return member;
      return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
    }) ?? ''
  );
}
