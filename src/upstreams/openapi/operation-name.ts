/**
 * Names for tools: the operation's own where it has one, else method and path. A name depends on the operation alone, except where
 * several would have the same: then all of them but one that spells it exactly so get a suffix that depends on method and path.
 */
import { shortHash } from './schema-names.ts';

export interface Nameable {
  /** `METHOD /path`. */
  readonly id: string;
  readonly operationId: string | undefined;
}

/** With the namespace before it, a name is still short of the 64 characters that hosts take. */
const lengthLimit = 50;

interface Named extends Nameable {
  readonly plain: string;
}

/** Names by id. */
export function nameOperations(operations: readonly Nameable[]): ReadonlyMap<string, string> {
  const named = operations.map(({ id, operationId }): Named => ({ id, operationId, plain: plainName({ id, operationId }) }));
  const names = new Map<string, string>();
  const taken = new Set<string>();
  const give = (id: string, name: string) => {
    names.set(id, name);
    taken.add(name.toLowerCase());
  };
  const open: Named[] = [];
  for (const group of Map.groupBy(named, ({ plain }) => plain.toLowerCase()).values()) {
    const exact = group.filter(({ operationId, plain }) => operationId === plain);
    const owner = group.length === 1 ? group[0] : exact.length === 1 ? exact[0] : undefined;
    if (owner !== undefined) give(owner.id, owner.plain);
    open.push(...group.filter((operation) => operation !== owner));
  }
  for (const operation of open.sort((a, b) => (a.id < b.id ? -1 : 1))) give(operation.id, suffixed(operation, taken));
  return names;
}

function suffixed({ id, plain }: Named, taken: ReadonlySet<string>): string {
  for (let attempt = 0; ; attempt++) {
    const name = withSuffix(plain, attempt === 0 ? id : `${id} ${attempt}`);
    if (!taken.has(name.toLowerCase())) return name;
  }
}

function withSuffix(name: string, hashed: string): string {
  const suffix = `_${shortHash(hashed)}`;
  return `${name.slice(0, lengthLimit - suffix.length)}${suffix}`;
}

function plainName({ id, operationId }: Nameable): string {
  const given = operationId?.trim() ?? '';
  const text = given === '' ? nameOfPath(id) : given;
  const sanitized = /^[a-zA-Z0-9_-]+$/.test(text.slice(0, 200))
    ? text
    : text
        .slice(0, 200)
        .replaceAll(/[^a-zA-Z0-9_-]+/g, '_')
        .replaceAll(/^_+|_+$/g, '');
  if (sanitized === '') return withSuffix('operation', text);
  // What looks like another name, or is told from it by its end only, gets a name that says so.
  if (/[^\x20-\x7e]/.test(text) || sanitized.length > lengthLimit || text.length > 200) return withSuffix(sanitized, text);
  return sanitized;
}

/** `GET /pets/{petId}/toys` is `get_pets_petId_toys`. */
function nameOfPath(id: string): string {
  const [method = '', ...path] = id.split(' ');
  const words = path
    .join(' ')
    .slice(0, 500)
    .split(/[^a-zA-Z0-9-]+/);
  return [method.toLowerCase(), ...words].filter((word) => word !== '').join('_');
}
