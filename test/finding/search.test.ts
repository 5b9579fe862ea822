import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Capability, Member } from '../../src/catalog/catalog.ts';
import { readQuery } from '../../src/finding/query.ts';
import { filter, rank } from '../../src/finding/rank.ts';
import { riskOf } from '../../src/finding/risk.ts';
import { readSearchSettings } from '../../src/finding/search-settings.ts';
import { stem } from '../../src/finding/stem.ts';
import { allSynonyms } from '../../src/finding/synonyms.ts';
import { tagsOf } from '../../src/finding/tags.ts';
import { viewOf } from '../../src/finding/view.ts';
import { wordsOf } from '../../src/finding/words.ts';
import { emptyOffer, type ToolDefinition } from '../../src/upstreams/upstream.ts';
import { cpuMs } from '../support/cpu-time.ts';

type Tool = Partial<ToolDefinition> & { readonly name: string };

function memberWith(namespace: string, tools: readonly Tool[]): readonly { readonly capability: Capability<ToolDefinition> }[] {
  const definitions = tools.map((tool) => ({ inputSchema: { type: 'object' }, ...tool }));
  const offer = { ...emptyOffer, isStale: false, tools: definitions };
  const config = { namespace, name: 'main', include: ['*'], exclude: [], rename: {} };
  const member = { id: `${namespace}/main`, config, upstream: { offer: () => offer } } as unknown as Member;
  return definitions.map((definition) => ({
    capability: {
      outwardName: definition.name,
      name: `${namespace}/${definition.name}`,
      member,
      definition,
      published: definition,
      hash: undefined,
    },
  }));
}

const shop = memberWith('shop', [
  { name: 'refundPayment', description: 'Gives a customer the money of a payment back.', annotations: { readOnlyHint: false } },
  { name: 'list_payments', description: 'Shows what customers have paid.', annotations: { readOnlyHint: true } },
  { name: 'delete_customer', description: 'Removes a customer for good.' },
  { name: 'chat_postMessage', title: 'Write', description: 'Sends a text into a room.' },
  { name: 'getCafé', description: 'Où boire un café.' },
]);
const synonyms = allSynonyms([['invoice slip', 'payment']]);
const find = async (entries: typeof shop, text: string, limit = 5) =>
  rank(await viewOf(entries), readQuery(text, synonyms), limit).map(({ capability }) => capability.name);

describe('words', () => {
  test.each([
    ['invoices', 'invoicing'],
    ['relational', 'relate'],
    ['hopping', 'hop'],
    ['paid', 'pay'],
    ['people', 'person'],
    ['categories', 'category'],
    ['authorization', 'authorize'],
  ])('"%s" and "%s" meet', (a, b) => expect(stem(a)).toBe(stem(b)));

  test('names of every fashion are taken apart, accents dropped, fillers left out', () => {
    expect(wordsOf('listOpenIssues')).toEqual(wordsOf('list_open-issues'));
    expect(wordsOf('HTTPServer2Go')).toEqual(wordsOf('http server 2 go'));
    expect(wordsOf('the café of me')).toEqual(wordsOf('cafe'));
  });

  test('any text gives words in bounded time', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => wordsOf(text).every((word) => word.length > 0)));
    const startedAtMs = cpuMs();
    for (const text of ['aA'.repeat(50_000), 'a-'.repeat(50_000), '\u0301'.repeat(100_000), 'y'.repeat(100_000)]) wordsOf(text);
    expect(cpuMs() - startedAtMs).toBeLessThan(1_000);
  });
});

describe('search', () => {
  test.each([
    ['give the money back', 'shop/refundPayment'],
    ['get rid of a customer', 'shop/delete_customer'],
    ['throw this customer away', 'shop/delete_customer'],
    ['which payments came in', 'shop/list_payments'],
    ['send a message', 'shop/chat_postMessage'],
    ['cafe', 'shop/getCafé'],
  ])('"%s" finds %s', async (text, name) => expect((await find(shop, text))[0]).toBe(name));

  test("an admin's synonyms count, in phrases too; without them the words find nothing", async () => {
    expect(await find(shop, 'invoice slip')).toContain('shop/refundPayment');
    const plain = rank(await viewOf(shop), readQuery('invoice slip', allSynonyms([])), 5);
    expect(plain.map(({ capability }) => capability.name)).not.toContain('shop/list_payments');
  });

  test('a question without a telling word finds nothing, and neither does one that nothing answers', async () => {
    for (const text of ['', 'the and of', 'zzzz qqqq', '?!']) expect(await find(shop, text)).toEqual([]);
  });

  test('names like members of every object are words as any other', async () => {
    const odd = memberWith('odd', [{ name: 'constructor' }, { name: '__proto__' }, { name: 'toString' }]);
    expect(await find(odd, 'constructor')).toEqual(['odd/constructor']);
    expect(await find(odd, '__proto__')).toEqual(['odd/__proto__']);
  });

  test('what is hidden changes neither what is found nor its order, whatever it says', async () => {
    const word = fc.constantFrom('pay', 'refund', 'customer', 'room', 'text', 'money', 'list', 'delete');
    const description = fc.array(word, { maxLength: 8 }).map((words) => words.join(' '));
    await fc.assert(
      fc.asyncProperty(
        fc.array(description, { minLength: 1, maxLength: 6 }),
        fc.array(description, { maxLength: 6 }),
        fc.array(word),
        async (seen, hidden, asked) => {
          const tools = (texts: readonly string[], from: string) =>
            texts.map((text, n) => ({ name: `${from}${n}`, description: text }));
          const alone = memberWith('shop', tools(seen, 'tool'));
          const beside = memberWith('shop', [...tools(seen, 'tool'), ...tools(hidden, 'secret')]);
          const visible = beside.slice(0, seen.length);
          expect(await find(visible, asked.join(' '))).toEqual(await find(alone, asked.join(' ')));
        },
      ),
      { numRuns: 50 },
    );
  });

  test('an offer that changed is found as it is now, an entry of the one before as it was', async () => {
    const before = memberWith('news', [{ name: 'old', description: 'Speaks of apples.' }]);
    expect(await find(before, 'apples')).toEqual(['news/old']);
    const [first] = before;
    const definition = { name: 'young', description: 'Speaks of pears.', inputSchema: { type: 'object' } };
    const after = [{ capability: { ...first!.capability, name: 'news/young', definition, published: definition } }];
    expect(await find(after, 'pears')).toEqual(['news/young']);
    expect(await find(before, 'apples')).toEqual(['news/old']);
  });

  test('searches at the same time share one index', async () => {
    const tools = memberWith(
      'many',
      Array.from({ length: 3_000 }, (_, n) => ({ name: `tool_${n}`, description: `Number ${n}` })),
    );
    const found = await Promise.all(['number 7', 'number 2999', 'number 1234'].map((text) => find(tools, text, 1)));
    expect(found).toEqual([['many/tool_7'], ['many/tool_2999'], ['many/tool_1234']]);
  });

  test('a filter keeps what has all the words, or else the most of them', async () => {
    const names = async (text: string) =>
      filter(await viewOf(shop), readQuery(text, allSynonyms([]))).map(({ capability }) => capability.name);
    expect(await names('customer payment')).toEqual(expect.arrayContaining(['shop/refundPayment', 'shop/list_payments']));
    expect(await names('customer payment')).not.toContain('shop/delete_customer');
    expect(await names('customer unheard')).toContain('shop/delete_customer');
  });
});

describe('what is wanted and what is done', () => {
  const stock = memberWith('stock', [
    { name: 'createWarehouse', description: 'Create a warehouse.' },
    { name: 'deleteWarehouse', description: 'Delete a warehouse.' },
    { name: 'listWarehouses', description: 'List warehouses.', annotations: { readOnlyHint: true } },
    { name: 'PUT_shelf', description: '<p>Update a <a href="#shelf">shelf</a>.</p>' },
    { name: 'move_pallet', description: 'Deprecated. Moves a pallet to another dock.' },
    { name: 'transfer_pallet', description: 'Moves a pallet to another dock.' },
  ]);

  test.each([
    ['get rid of a warehouse', 'stock/deleteWarehouse'],
    ['I need one more, add a warehouse', 'stock/createWarehouse'],
    ['which warehouses are there', 'stock/listWarehouses'],
  ])('"%s" is answered by %s before its siblings', async (text, name) => expect((await find(stock, text))[0]).toBe(name));

  test('what is deprecated comes after what does the same, and is found by its own words all the same', async () => {
    const found = await find(stock, 'bring a pallet to the other dock');
    expect(found.slice(0, 2)).toEqual(['stock/transfer_pallet', 'stock/move_pallet']);
    expect(await find(stock, 'deprecated')).toEqual([]);
  });

  test('markup and addresses are not searched', async () => {
    expect(await find(stock, 'shelf')).toEqual(['stock/PUT_shelf']);
    expect(await find(stock, 'href')).toEqual([]);
  });

  test('what a body refers to is searched as arguments are; a schema that refers to itself ends', async () => {
    const $defs = { Pallet: { properties: { weight: {}, stackedOn: { $ref: '#/$defs/Pallet' } } } };
    const tools = memberWith('dock', [
      { name: 'a', inputSchema: { type: 'object', properties: { body: { $ref: '#/$defs/Pallet' } }, $defs } },
      { name: 'b', inputSchema: { type: 'object', properties: { body: { $ref: '#/$defs/constructor' } }, $defs } },
    ]);
    expect(await find(tools, 'stacked on weight')).toEqual(['dock/a']);
  });
});

describe('what a definition says of itself', () => {
  test.each([
    [{ readOnlyHint: true, destructiveHint: true }, 'read-only'],
    [{ readOnlyHint: false, destructiveHint: false }, 'changes'],
    [{ destructiveHint: true }, 'destructive'],
    [{}, 'destructive'],
    [undefined, 'destructive'],
  ])('annotations %j mean %s', (annotations, risk) =>
    expect(riskOf(annotations === undefined ? {} : { annotations })).toBe(risk),
  );

  test('tags stand where frameworks put them, and nothing else is one', () => {
    expect(tagsOf({ _meta: { 'dev.gatehouse/tags': ['a', 7], _fastmcp: { tags: ['b', 'a'] } } })).toEqual(['a', 'b']);
    for (const _meta of [undefined, 'x', [], { tags: 'x' }]) expect(tagsOf(_meta === undefined ? {} : { _meta })).toEqual([]);
  });
});

describe('the setting "search"', () => {
  test('is read with its defaults', () => {
    expect(readSearchSettings({})).toEqual({ value: { everything: 'off', synonyms: [] } });
    expect(readSearchSettings({ everything: true, synonyms: [['a', 'b']] })).toEqual({
      value: { everything: 'on', synonyms: [['a', 'b']] },
    });
  });

  test.each([[{ everything: 'maybe' }], [{ synonyms: [['alone']] }], [{ synonyms: [['a', '-']] }], [{ synonym: [] }], ['auto']])(
    '%j is refused with a sentence',
    (value) => expect(readSearchSettings(value)).toHaveProperty('flaws'),
  );
});
