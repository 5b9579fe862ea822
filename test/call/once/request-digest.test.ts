import { describe, expect, test } from 'vitest';
import { digestRequest } from '../../../src/call/once/request-digest.ts';
import { hmac, hmacKey } from '../../../src/hmac.ts';
import { canonicalJson } from '../../../src/wire/canonical-json.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

const key = hmacKey(Buffer.alloc(32, 7));
const head = 'request\n["models/call","","models/fast"]\n';
const large = 1_000_000;
const numbers = (count: number): JsonObject => ({
  arguments: { input: Array.from({ length: count }, (_, at) => at), model: 'm' },
});

describe('what stands for a request', () => {
  test('is the same whether it is written down at once or in turns, and the same as ever: digests are kept', async () => {
    const texts: JsonObject = { arguments: { b: '\ud83d\ude00'.repeat(9_000), a: '\ud83d', '': [null, {}, []] } };
    for (const params of [numbers(0), numbers(5_000), texts]) {
      const known = hmac(key, `${head}${canonicalJson(params)}`, 'base64url');
      expect(digestRequest(key, head, params, 10)).toBe(known);
      expect(await digestRequest(key, head, params, large)).toBe(known);
    }
  });

  test('is the same in any order, and another where the last of many values is', async () => {
    const { arguments: given } = numbers(50_000);
    const { input = null } = given as JsonObject;
    const digest = await digestRequest(key, head, { arguments: { input, model: 'm' } }, large);
    expect(await digestRequest(key, head, { arguments: { model: 'm', input } }, large)).toBe(digest);
    const other = { arguments: { input: [...(input as number[]).slice(0, -1), 0], model: 'm' } };
    expect(await digestRequest(key, head, other, large)).not.toBe(digest);
  });

  test('holds up nobody: of the largest request there is, others have many turns meanwhile; of a small one nobody waits', async () => {
    const params = numbers(399_990);
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const digest = digestRequest(key, head, params, large);
    expect(digest).toBeInstanceOf(Promise);
    await digest;
    isDone = true;
    expect(turns).toBeGreaterThan(3);
    expect(typeof digestRequest(key, head, numbers(10), 100)).toBe('string');
  });
});
