import fc from 'fast-check';
import { expect, test } from 'vitest';
import { capabilityName, outwardName } from '../../src/catalog/capability-name.ts';

const namespaces = fc.stringMatching(/^[a-z][a-z0-9-]{0,23}$/);
const names = fc.oneof(fc.string({ unit: 'binary', maxLength: 100 }), fc.stringMatching(/^[a-zA-Z0-9_./-]{0,90}$/));

test('a legal name is kept', () => {
  expect(outwardName('support', 'get_ticket')).toBe('support__get_ticket');
});

test('an illegal or long name ends in a hash of itself', () => {
  expect(outwardName('support', 'get.ticket')).toBe('support__get_ticket_52826c');
  expect(outwardName('support', 'x'.repeat(80))).toMatch(/^support__x{48}_[0-9a-f]{6}$/);
  expect(outwardName('support', 'x'.repeat(80))).toHaveLength(64);
});

test('a name of 64 characters is kept, one of 65 is not', () => {
  expect(outwardName('a', 'x'.repeat(61))).toBe(`a__${'x'.repeat(61)}`);
  expect(outwardName('a', 'x'.repeat(62))).toMatch(/^a__x{54}_[0-9a-f]{6}$/);
});

test('every name is one that hosts take, and always the same', () => {
  fc.assert(
    fc.property(namespaces, names, (namespace, name) => {
      const outward = outwardName(namespace, name);
      expect(outward).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
      expect(outward.startsWith(`${namespace}__`)).toBe(true);
      expect(outwardName(namespace, name)).toBe(outward);
      expect(capabilityName(namespace, outward)).toBe(`${namespace}/${outward.slice(namespace.length + 2)}`);
    }),
  );
});

test('two namespaces never share a name', () => {
  fc.assert(
    fc.property(namespaces, names, namespaces, names, (a, nameA, b, nameB) => {
      fc.pre(a !== b);
      expect(outwardName(a, nameA)).not.toBe(outwardName(b, nameB));
    }),
  );
});

test('two legal names of one namespace never share a name', () => {
  const legal = fc.stringMatching(/^[a-zA-Z0-9_-]{1,38}$/);
  fc.assert(
    fc.property(namespaces, legal, legal, (namespace, a, b) => {
      fc.pre(a !== b);
      expect(outwardName(namespace, a)).not.toBe(outwardName(namespace, b));
    }),
  );
});
