import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { validateDocument } from '../../../src/upstreams/openapi/validate-document.ts';
import { convert, exampleBytes, invalidSchemas } from '../../support/openapi.ts';

const directory = dirname(createRequire(import.meta.url).resolve('@readme/oas-examples/package.json'));
const names = ['2.0', '3.0', '3.1'].flatMap((version) =>
  readdirSync(join(directory, version, 'json'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => `${version}/json/${name}`),
);

const methods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace'];

function countOperations(document: { paths?: Record<string, object> }): number {
  return Object.values(document.paths ?? {}).flatMap((item) => Object.keys(item).filter((key) => methods.includes(key))).length;
}

/** One that is no description, one that refers to what is not there, and one that is about webhooks only. */
const withoutTools = ['3.0/json/openapi-workshop/title.json', '3.1/json/webhooks.json'];

describe('the descriptions of @readme/oas-examples', () => {
  test('are all there', () => {
    expect(names.length).toBeGreaterThan(60);
  });

  test.each(names)('%s becomes a tool per operation, with schemas of 2020-12', (name) => {
    const bytes = exampleBytes(name);
    const conversion = convert(bytes);
    // A path that refers to another has the operations of that one.
    expect(conversion.operations.length).toBeGreaterThanOrEqual(countOperations(JSON.parse(bytes.toString())));
    expect(conversion.operations.length > 0).toBe(!withoutTools.includes(name));
    expect(invalidSchemas(conversion)).toEqual([]);
    expect(new Set(conversion.operations.map(({ tool }) => tool.name)).size).toBe(conversion.operations.length);
  });

  test.each(['2.0/petstore', '3.0/discriminators', '3.0/parameters-extreme', '3.0/schema-types', '3.1/security'])(
    '%s is the same in YAML',
    (name) => {
      const [version, file] = name.split('/');
      const [json, yaml] = ['json', 'yaml'].map((form) => convert(exampleBytes(`${version}/${form}/${file}.${form}`)));
      expect(yaml).toEqual(json);
    },
  );

  test('are held against the schema of their format without following references', async () => {
    expect(await validateDocument(JSON.parse(exampleBytes('3.0/json/circular.json').toString()))).toEqual([]);
    expect(await validateDocument(JSON.parse(exampleBytes('2.0/json/petstore.json').toString()))).toEqual([]);
    expect(await validateDocument(JSON.parse(exampleBytes('3.1/json/train-travel.json').toString()))).toEqual([]);
    const broken = { openapi: '3.0.0', info: { title: 'x' }, paths: { '/a': { get: { responses: {}, tags: 5 } } } };
    const problems = await validateDocument(broken);
    expect(problems.map(({ pointer }) => pointer)).toContain('/paths/~1a/get/tags');
    expect(problems.every(({ kind }) => kind === 'changed')).toBe(true);
  });

  test('hold what makes them worth having', () => {
    const byName = (name: string, id: string) => convert(exampleBytes(name)).operations.find((operation) => operation.id === id);
    const styles = convert(exampleBytes('3.0/json/parameters-style.json')).operations;
    const written = new Set(styles.flatMap(({ request }) => request.parameters.map((plan) => `${plan.in} ${plan.style}`)));
    for (const style of [
      'path matrix',
      'path label',
      'query deepObject',
      'query spaceDelimited',
      'query pipeDelimited',
      'cookie form',
    ])
      expect([...written]).toContain(style);
    const upload = byName('3.0/json/file-uploads.json', 'PUT /anything/multipart-formdata');
    expect(upload?.request.body).toMatchObject({ encoding: 'multipart', properties: { filename: { isFile: true } } });
    const security = convert(exampleBytes('3.1/json/security.json'));
    expect(new Set(Object.values(security.securitySchemes).map(({ kind }) => kind))).toEqual(
      new Set(['apiKey', 'basic', 'bearer', 'oauth2', 'openIdConnect', 'other']),
    );
  });
});
