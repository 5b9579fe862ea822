import { expect, it } from 'vitest';
import type { Store } from '../../src/store/ports.ts';

/** What is promised of texts kept by their hash. Part of the store contract. */
export function definitionsContract(place: () => Promise<{ open(): Promise<Store> }>, isShared: boolean): void {
  const sorted = (found: readonly { readonly hash: string }[]) => found.map(({ hash }) => hash).sort();

  it('finds the definitions it keeps, whatever they hold, and no others', async () => {
    const { definitions } = await (await place()).open();
    const strange = { hash: 'b', body: JSON.stringify({ text: `'"\u0000 \u{1f600} ${'x'.repeat(100_000)}` }) };
    await definitions.keep([{ hash: 'a', body: '{}' }, strange], 1);
    expect(await definitions.find(['b', 'b', 'c'])).toEqual([strange]);
    expect(await definitions.find([])).toEqual([]);
  });

  it('keeps many definitions at once, and the same one again', async () => {
    const { definitions } = await (await place()).open();
    const many = Array.from({ length: 1_200 }, (_, n) => ({ hash: `${n}`, body: `{"n":${n}}` }));
    await Promise.all([definitions.keep(many, 1), definitions.keep(many, 1), definitions.keep([...many, ...many], 2)]);
    expect(await definitions.find(many.map(({ hash }) => hash))).toHaveLength(1_200);
  });

  it('removes definitions that are old and that nothing points to', async () => {
    const { definitions } = await (await place()).open();
    await definitions.keep(
      ['old', 'renewed', 'used'].map((hash) => ({ hash, body: '{}' })),
      10,
    );
    await definitions.keep([{ hash: 'renewed', body: '{}' }], 20);
    expect(await definitions.prune(20, new Set(['used']))).toBe(1);
    expect(sorted(await definitions.find(['old', 'renewed', 'used']))).toEqual(['renewed', 'used']);
  });

  it.runIf(isShared)('shows definitions to every process', async () => {
    const { open } = await place();
    const [one, other] = [await open(), await open()];
    await one.definitions.keep([{ hash: 'a', body: '{"a":1}' }], 1);
    expect(await other.definitions.find(['a'])).toEqual([{ hash: 'a', body: '{"a":1}' }]);
  });
}
