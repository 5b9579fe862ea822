import { afterAll, expect } from 'vitest';

// PR-06: after every file, what all objects inherit is what it was before.
const shared = { Object, Array, Function, String, Number, Boolean, RegExp, Map, Set, Promise, Error, Uint8Array };

function members(): string[] {
  return Object.entries(shared).flatMap(([name, { prototype }]) =>
    Reflect.ownKeys(prototype).map((key) => {
      const { value, get, set } = Object.getOwnPropertyDescriptor(prototype, key) ?? {};
      return `${name}.prototype.${String(key)} ${numberOf(value)} ${numberOf(get)} ${numberOf(set)}`;
    }),
  );
}

const numbers = new Map<unknown, number>();

function numberOf(value: unknown): number {
  const known = numbers.get(value);
  if (known !== undefined) return known;
  numbers.set(value, numbers.size);
  return numbers.size - 1;
}

const before = members();

afterAll(() => {
  expect(members()).toEqual(before);
});
