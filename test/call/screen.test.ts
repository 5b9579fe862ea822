import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import type { Admission } from '../../src/call/limit.ts';
import { type ContentRefusal, type Screened, screen } from '../../src/call/screen.ts';
import { buildPolicies } from '../../src/policy/policy.ts';
import type { JsonObject } from '../../src/wire/json.ts';

const checks = new ArgumentChecks();
afterAll(() => checks.close());

const awsKey = 'AKIAZ7QX3LWDT5HNV2PK';
const inputSchema = { type: 'object', properties: { note: { type: 'string', maxLength: 60 } }, required: ['note'] };

async function admissionWith(args: JsonObject | undefined, action?: 'flag' | 'redact' | 'block', isTool = true) {
  const content = action === undefined ? [] : [{ rules: ['secrets'], do: action }];
  const policies = await buildPolicies([{ scope: { kind: 'global' }, policy: { content } }]);
  const params = args === undefined ? { name: 't' } : { name: 't', arguments: args };
  const tool = isTool ? { name: 't', inputSchema } : undefined;
  return { capability: 'hr/note', params, tool, policy: policies.of('hr/note', 'hr') } as unknown as Admission;
}

async function screened(...given: Parameters<typeof admissionWith>): Promise<Screened> {
  return await screen(checks, await admissionWith(...given));
}

describe('arguments', () => {
  test('that fit go out as they came', async () => {
    const admission = await admissionWith({ note: 'hello' });
    const out = await screen(checks, admission);
    expect(out.params).toBe(admission.params);
    expect(out.hits).toEqual([]);
  });

  test.each([
    [undefined, /note/],
    [{}, /note/],
    [{ note: 1 }, /note/],
    [{ note: 'x'.repeat(61) }, /note.*60/],
  ])('%j are refused with the place and the reason', async (args, words) => {
    await expect(screened(args)).rejects.toMatchObject({ code: 'bad_arguments', message: expect.stringMatching(words) });
  });

  test('that are null count as left out where they may be left out, and go out as they came', async () => {
    const args = { note: 'hello', more: null };
    const strict = { ...inputSchema, properties: { ...inputSchema.properties, more: { type: 'boolean' } } };
    const admission = { ...(await admissionWith(args)), tool: { name: 't', inputSchema: strict } } as unknown as Admission;
    expect((await screen(checks, admission)).params.arguments).toBe(args);
    await expect(screened({ note: null })).rejects.toMatchObject({ code: 'bad_arguments' });
  });

  test('of what has no schema are not checked', async () => {
    expect((await screened({ note: 1 }, undefined, false)).hits).toEqual([]);
  });
});

describe('content on its way in', () => {
  const leaking = { note: `take ${awsKey}` };

  test('is looked for only where a policy says so', async () => {
    expect((await screened(leaking)).hits).toEqual([]);
    expect((await screened({ note: 'nothing' }, 'block')).hits).toEqual([]);
  });

  test('is flagged: told, and sent as it is', async () => {
    const out = await screened(leaking, 'flag');
    expect(out.params.arguments).toEqual(leaking);
    expect(out.hits.map(({ ruleId }) => ruleId)).toEqual(['secrets/aws-access-key']);
  });

  test('is redacted: told, and replaced in what is sent, not in what was asked', async () => {
    const admission = await admissionWith(leaking, 'redact');
    const out = await screen(checks, admission);
    expect(out.params.arguments).toEqual({ note: 'take [redacted:secrets/aws-access-key]' });
    expect(out.params.name).toBe('t');
    expect(admission.params.arguments).toEqual(leaking);
    expect(out.hits).toHaveLength(1);
  });

  test('is blocked: told by its rule, never by its text', async () => {
    const refusal = await screened(leaking, 'block').then(
      () => undefined,
      (error: ContentRefusal) => error,
    );
    expect(refusal?.code).toBe('content_blocked');
    expect(refusal?.message).toContain('(secrets/aws-access-key)');
    expect(refusal?.message).not.toContain(awsKey);
    expect(refusal?.hits).toHaveLength(1);
  });

  test('is asked for after the schema: what does not fit is not looked through', async () => {
    await expect(screened({ other: awsKey }, 'block')).rejects.toMatchObject({ code: 'bad_arguments' });
  });
});
