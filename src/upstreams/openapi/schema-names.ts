import { hash } from 'node:crypto';
import { keyOf, type Place } from './references.ts';

export function shortHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 6);
}

const plainName = /^[A-Za-z0-9._-]{1,60}$/;

/** The name under `$defs` for a schema that is referred to: its own where it has one, and the same each time. */
export function definitionName(place: Place): string {
  const last = unescapePointer(place.pointer.slice(place.pointer.lastIndexOf('/') + 1));
  const isComponent = place.url === '' && /^\/(components\/schemas|definitions)\/[^/]+$/.test(place.pointer);
  if (isComponent && plainName.test(last)) return last;
  const start = last.slice(0, 50).replaceAll(/[^A-Za-z0-9._-]+/g, '_');
  return `${start}_${shortHash(keyOf(place))}`;
}

/** For the rare schema whose name is taken by another. */
export function longDefinitionName(place: Place): string {
  return `schema_${hash('sha256', keyOf(place), 'hex').slice(0, 32)}`;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
