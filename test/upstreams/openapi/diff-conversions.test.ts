import { describe, expect, test } from 'vitest';
import { diffConversions } from '../../../src/upstreams/openapi/diff-conversions.ts';
import { convert, exampleBytes } from '../../support/openapi.ts';

const operation = (more: object = {}) => ({
  operationId: 'getThing',
  summary: 'Gets it',
  responses: {
    200: {
      description: '',
      content: { 'application/json': { schema: { type: 'object', properties: { a: { type: 'string' } } } } },
    },
  },
  ...more,
});
const document = (paths: object, more: object = {}) => ({
  openapi: '3.1.0',
  info: { title: 'x', version: '1' },
  components: { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-Key' } } },
  paths,
  ...more,
});
const parameter = (schema: object, more: object = {}) => ({ parameters: [{ name: 'q', in: 'query', schema, ...more }] });

function partsOf(before: object, after: object, more: object = {}): readonly string[] | undefined {
  const { changed } = diffConversions(
    convert(document({ '/a': { get: before } })),
    convert(document({ '/a': { get: after } }, more)),
  );
  return changed[0]?.parts;
}

describe('what is different in a newer description', () => {
  test('is nothing where only order, titles of the document and what no tool has changed', () => {
    const before = convert(exampleBytes('3.1/json/train-travel.json'));
    const { paths, ...rest } = JSON.parse(exampleBytes('3.1/json/train-travel.json').toString());
    const reversed = {
      ...rest,
      info: { ...rest.info, title: 'Other' },
      'x-new': 1,
      paths: Object.fromEntries(Object.entries(paths).reverse()),
    };
    expect(diffConversions(before, convert(reversed))).toEqual({
      added: [],
      removed: [],
      changed: [],
      unchanged: before.operations.length,
      hasOtherServers: false,
    });
  });

  test('are operations that came and went', () => {
    const before = convert(document({ '/a': { get: operation() }, '/b': { get: operation({ operationId: 'b' }) } }));
    const after = convert(document({ '/a': { get: operation() }, '/c': { get: operation({ operationId: 'c' }) } }));
    const { added, removed, changed, unchanged } = diffConversions(before, after);
    expect([added.map(({ id }) => id), removed.map(({ id }) => id), changed, unchanged]).toEqual([['GET /c'], ['GET /b'], [], 1]);
  });

  test.each([
    ['a text', {}, { summary: 'Deletes it' }, {}, ['texts']],
    ['an argument', {}, parameter({ type: 'string' }), {}, ['arguments', 'request']],
    ['the schema of one', parameter({ type: 'string', maxLength: 5 }), parameter({ type: 'string' }), {}, ['arguments']],
    [
      'how one is written',
      parameter({ type: 'array' }),
      parameter({ type: 'array' }, { style: 'pipeDelimited' }),
      {},
      ['request'],
    ],
    [
      'the answer',
      {},
      { responses: { 200: { description: '', content: { 'application/json': { schema: { type: 'array' } } } } } },
      {},
      ['answer'],
    ],
    ['a server of its own', {}, { servers: [{ url: 'https://other.example' }] }, {}, ['server']],
    ['what it needs to see', { security: [{ key: [] }] }, { security: [] }, {}, ['security']],
    [
      'where that goes',
      { security: [{ key: [] }] },
      { security: [{ key: [] }] },
      { components: { securitySchemes: { key: { type: 'apiKey', in: 'query', name: 'k' } } } },
      ['security'],
    ],
    ['the name', {}, { operationId: 'other' }, {}, ['name']],
  ])('%s', (_what, before, after, more, parts) => {
    expect(partsOf(operation(before), operation(after), more)).toEqual(parts);
  });

  test('an operation that another took the name of is a change, not two', () => {
    const before = convert(document({ '/a': { get: operation() } }));
    const { added, removed, changed } = diffConversions(before, convert(document({ '/a': { delete: operation() } })));
    expect([added, removed]).toEqual([[], []]);
    expect(changed[0]?.parts).toEqual(['method', 'risk']);
    expect([changed[0]?.before.id, changed[0]?.after.id]).toEqual(['GET /a', 'DELETE /a']);
  });

  test('servers of the document are told apart from operations', () => {
    const paths = { '/a': { get: operation() } };
    const diff = diffConversions(
      convert(document(paths)),
      convert(document(paths, { servers: [{ url: 'https://new.example' }] })),
    );
    expect([diff.hasOtherServers, diff.changed, diff.unchanged]).toEqual([true, [], 1]);
  });
});
