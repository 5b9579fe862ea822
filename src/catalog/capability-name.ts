import { hash } from 'node:crypto';

/** Hosts refuse a whole list over one name that does not look like this. */
const legalName = /^[a-zA-Z0-9_-]{1,64}$/;
const separator = '__';
const limit = 64;

/**
 * What clients call a tool or prompt: `<namespace>__<name>`. A name that hosts would refuse is altered, and then ends in `_`
 * and 6 hex digits of SHA-256 over `namespace/name`: it depends on nothing but itself, so no other name can change it.
 * A namespace holds no `_`, so the first one ends it and no two namespaces share a name.
 */
export function outwardName(namespace: string, name: string): string {
  const plain = `${namespace}${separator}${name}`;
  if (name !== '' && legalName.test(plain)) return plain;
  const digest = hash('sha256', `${namespace}/${name}`, 'hex').slice(0, 6);
  const start = `${namespace}${separator}${name.slice(0, limit).replaceAll(/[^a-zA-Z0-9_-]/gu, '_')}`;
  return `${start.slice(0, limit - digest.length - 1)}_${digest}`;
}

/** What people, rules and records call it: `namespace/name`, with the altered name where there is one. */
export function capabilityName(namespace: string, outward: string): string {
  return `${namespace}/${outward.slice(namespace.length + separator.length)}`;
}
