import { expect, test } from 'vitest';
import type { Conversion } from '../../../src/upstreams/openapi/conversion.ts';
import { decodeMemory, encodeMemory } from '../../../src/upstreams/openapi/memory.ts';
import { readOperations, writeOperations } from '../../../src/upstreams/openapi/operation-text.ts';
import { convert, exampleBytes } from '../../support/openapi.ts';

const examples = ['2.0/json/petstore.json', '3.0/json/petstore.json', '3.1/json/train-travel.json'];

test.each(examples)('the operations of %s come back as they were, in their order, in chunks of any size', (name) => {
  const { operations } = convert(exampleBytes(name));
  for (const characters of [1, 2_000, 1_000_000]) {
    const chunks = [...writeOperations(operations, characters)];
    const read = readOperations();
    const back = chunks.flatMap((chunk) => read(JSON.parse(chunk)));
    // As text: the order of members counts, too.
    expect(JSON.stringify(back)).toBe(JSON.stringify(operations));
  }
});

test('what operations have in common is written once, and is one object afterwards', () => {
  const [operation] = convert(exampleBytes('3.1/json/train-travel.json')).operations;
  const many = Array.from({ length: 1_000 }, (_, n) => ({ ...operation!, id: `GET /${n}` }));
  const text = [...writeOperations(many, 10_000)].join('\n');
  const schema = JSON.stringify(operation!.tool.outputSchema);
  expect(text.split(schema)).toHaveLength(2);
  const read = readOperations();
  const back = text.split('\n').flatMap((chunk) => read(JSON.parse(chunk)));
  expect(back).toHaveLength(1_000);
  expect(new Set(back.map(({ tool }) => tool.outputSchema)).size).toBe(1);
  expect(new Set(back.flatMap(({ request }) => request.parameters)).size).toBe(operation!.request.parameters.length);
});

test('a schema that looks like a reference to a common part stays what it is', () => {
  const tool = { name: 'odd', inputSchema: { type: 'object', default: { outputSchema: 0, parameters: [0] } } };
  const [operation] = convert(exampleBytes('3.0/json/petstore.json')).operations;
  const odd = { ...operation!, tool };
  expect([...writeOperations([odd], 100)].flatMap((chunk) => readOperations()(JSON.parse(chunk)))).toEqual([odd]);
});

const fingerprint = 'openapi 1 ab';

function remember(state: string) {
  return { id: 'shop/pets', fingerprint, state, savedAtMs: 0 };
}

test('a conversion that was kept is the same when it is taken up; one of anything else is none', async () => {
  const conversion: Conversion = convert(exampleBytes('3.1/json/train-travel.json'));
  const state = await encodeMemory(conversion);
  expect(state.length).toBeLessThan(JSON.stringify(conversion).length);
  expect(await decodeMemory(remember(state), fingerprint)).toEqual(conversion);
  expect(await decodeMemory(remember(state), 'openapi 1 cd')).toBeUndefined();
  expect(await decodeMemory({ ...remember(state), fingerprint: 'mcp' })).toBeUndefined();
});

test.each([
  ['no JSON', '{'],
  ['of another version', '{"operations":[]}'],
  ['not compressed', '{"gzip":"e30="}'],
])('what is kept and %s is none', async (_what, state) => {
  expect(await decodeMemory(remember(state), fingerprint)).toBeUndefined();
});
