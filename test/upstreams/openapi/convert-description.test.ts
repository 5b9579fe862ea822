import { expect, test } from 'vitest';
import { convertDescription } from '../../../src/upstreams/openapi/convert-description.ts';
import { bytesOf } from '../../support/openapi.ts';

/** Holding it against its format takes half as long as all before it. */
function manyParameters(): Uint8Array {
  const query = ['a', 'b', 'c'].map((name) => ({
    name,
    in: 'query',
    schema: { type: 'string' },
    description: 'x'.repeat(1_500),
  }));
  const get = { parameters: query, responses: { 200: { description: '' } } };
  const paths = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`/things/${at}`, { get }]));
  const unused = (at: number) => ({ name: `p${at}`, in: 'query', style: 'form', explode: true, schema: { type: 'string' } });
  const parameters = Object.fromEntries(Array.from({ length: 150_000 }, (_, at) => [`p${at}`, unused(at)]));
  return bytesOf({ openapi: '3.0.3', info: { title: 'Things', version: '1' }, paths, components: { parameters } });
}

test('what was converted stands where there is no time left to hold it against its format', { timeout: 60_000 }, async () => {
  const bytes = manyParameters();
  const kept = async (): Promise<string | undefined> => {
    let cpuLimitMs = 0;
    await convertDescription(bytes, {
      cpuLimitMs: 60_000,
      onUsage: ({ convertedCpuMs, cpuMs }) => {
        cpuLimitMs = Math.round((convertedCpuMs + cpuMs) / 2);
      },
    });
    const { operations, problems } = await convertDescription(bytes, { cpuLimitMs });
    return operations.length === 300 ? problems.at(-1)?.message : undefined;
  };
  // The same work takes more on a machine that has just become busy.
  const messages = [await kept().catch(() => undefined), await kept().catch(() => undefined)];
  expect(messages).toContain('The document was not held against the schema of its format: that took too long.');
});
