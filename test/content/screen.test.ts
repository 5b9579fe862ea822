import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeKey } from '../../src/call/authenticate/key-ring.ts';
import { makeCategoryCheck, makeCheck } from '../../src/content/content-check.ts';
import { redactText } from '../../src/content/redact.ts';
import { categories } from '../../src/content/rule.ts';
import type { Json } from '../../src/wire/json.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';
import { benign } from '../fixtures/content/benign.ts';
import { positive } from '../fixtures/content/positive.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { inspectBytes, screenValue } from '../support/screen-at-once.ts';

const redact = makeCategoryCheck('out', categories, 'redact');
const flag = makeCategoryCheck('out', categories, 'flag');
const block = makeCategoryCheck('in', categories, 'block');
const token = `ghp_${'R8kLm2nQ5tVx7zAc4eGh9jBd3fWy6uSpZ1oT'}`;
const key = makeKey('team-a');

function bytesOf(value: Json): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe('screening a value', () => {
  test('what is clean is called clean and not copied', () => {
    expect(screenValue(redact, { query: 'open tickets', limit: 25, filter: { status: 'open' } })).toEqual({ kind: 'clean' });
    expect(inspectBytes(redact, bytesOf({ content: [{ type: 'text', text: 'All good.' }] }))).toEqual({ kind: 'clean' });
  });

  test('flagged: the hits say where and what, and nothing of the text', () => {
    const verdict = screenValue(flag, { content: [{ text: 'fine' }, { text: `use ${token} and ${token}` }] });
    expect(verdict).toEqual({
      kind: 'flagged',
      hits: [
        {
          ruleId: 'secrets/github-token',
          category: 'secrets',
          severity: 'critical',
          direction: 'out',
          action: 'flag',
          pointer: '/content/1/text',
          count: 2,
        },
      ],
    });
    expect(JSON.stringify(verdict)).not.toContain(token.slice(4, 12));
  });

  test('redacted: a copy with the same structure, the original untouched', () => {
    const value = { a: [{ text: `before ${token} after`, n: 1 }], b: null, c: true };
    const before = JSON.stringify(value);
    expect(screenValue(redact, value)).toMatchObject({
      kind: 'redacted',
      value: { a: [{ text: 'before [redacted:secrets/github-token] after', n: 1 }], b: null, c: true },
    });
    expect(JSON.stringify(value)).toBe(before);
  });

  test('blocked: the rules that say so, each once', () => {
    expect(screenValue(block, { a: token, b: token, c: 'anna@nordwind.io' })).toMatchObject({
      kind: 'blocked',
      rules: ['secrets/github-token', 'personal-data/email'],
    });
  });

  test('one rule may flag while another redacts', () => {
    const check = makeCheck(
      'in',
      new Map([
        ['secrets/github-token', 'redact'],
        ['personal-data/email', 'flag'],
      ] as const),
    );
    expect(check && screenValue(check, { t: `anna@nordwind.io ${token}` })).toMatchObject({
      kind: 'redacted',
      value: { t: 'anna@nordwind.io [redacted:secrets/github-token]' },
      hits: [{ action: 'redact' }, { action: 'flag' }],
    });
  });

  test('keys are read too, and a redacted one does not end in a pointer', () => {
    const verdict = screenValue(redact, { 'anna@nordwind.io': { note: token }, 'bob@nordwind.io': 1 });
    expect(verdict).toMatchObject({
      kind: 'redacted',
      value: {
        '[redacted:personal-data/email]': { note: '[redacted:secrets/github-token]' },
        '[redacted:personal-data/email] 2': 1,
      },
      hits: [{ pointer: '', count: 2 }, { pointer: '/*/note' }],
    });
  });

  test('a key that is no plain word is not shown either', () => {
    expect(screenValue(flag, { 'Müller, Anna': { x: token } })).toMatchObject({ hits: [{ pointer: '/*/x' }] });
  });

  test('a member that says "token" makes a secret of a value that alone would be none', () => {
    const value = 'k3J9x2Lm8Qw4Zt7Vb1Nc';
    expect(screenValue(redact, { api_key: value })).toMatchObject({ value: { api_key: '[redacted:secrets/assignment]' } });
    expect(inspectBytes(redact, Buffer.from(`{ "api_key" : "${value}" }`)).kind).toBe('redacted');
    expect(screenValue(redact, { build: value })).toEqual({ kind: 'clean' });
  });

  test('numbers are read as digits, the long ones without losing one', () => {
    expect(screenValue(redact, { card: 4242424242424242 })).toMatchObject({ value: { card: '[redacted:personal-data/card]' } });
    expect(screenValue(redact, { card: 4242424242424243 })).toEqual({ kind: 'clean' });
    const verdict = inspectBytes(redact, Buffer.from(`{"id":12345678901234567890,"t":"${token}"}`));
    expect(verdict.kind === 'redacted' && JSON.stringify(verdict.value)).toBe(
      '{"id":12345678901234567890,"t":"[redacted:secrets/github-token]"}',
    );
  });

  test('a member called __proto__ stays a member', () => {
    const verdict = screenValue(redact, JSON.parse(`{"__proto__":{"t":"${token}"},"constructor":"${token}"}`));
    const value = verdict.kind === 'redacted' ? verdict.value : null;
    expect(JSON.stringify(value)).toBe(
      '{"__proto__":{"t":"[redacted:secrets/github-token]"},"constructor":"[redacted:secrets/github-token]"}',
    );
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });

  test('what lies too deep is not vouched for', () => {
    let deep: Json = token;
    for (let level = 0; level < 200; level++) deep = [deep];
    expect(screenValue(redact, deep)).toMatchObject({ kind: 'blocked', rules: ['content/unread'] });
    expect(screenValue(flag, deep)).toMatchObject({ kind: 'flagged', hits: [{ ruleId: 'content/unread' }] });
  });

  test('what is too long to be read is not vouched for, unless nothing in it can match', () => {
    const long = 'the answer is long and harmless. '.repeat(60_000);
    expect(screenValue(redact, { long })).toEqual({ kind: 'clean' });
    expect(screenValue(redact, { long: `${long} ${token}` })).toMatchObject({ kind: 'blocked', rules: ['content/unread'] });
  });

  test('thousands of redacted keys and millions of values take no longer than they must', () => {
    const keys = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`u${index}@nordwind.io`, index]));
    const startMs = cpuMs();
    const verdict = screenValue(redact, keys);
    expect(verdict.kind === 'redacted' && new Set(Object.keys(verdict.value ?? {})).size).toBe(10_000);
    const many = Buffer.from(`{"mail":"anna@nordwind.io","n":[${'0,'.repeat(1_500_000)}0]}`);
    expect(inspectBytes(redact, many)).toMatchObject({ kind: 'blocked', rules: ['content/unread'] });
    expect(cpuMs() - startMs).toBeLessThan(5000);
  });

  test('thousands of hits make a short report', () => {
    const verdict = screenValue(
      flag,
      Array.from({ length: 5000 }, () => token),
    );
    const hits = verdict.kind === 'flagged' ? verdict.hits : [];
    expect(hits.length).toBeLessThan(300);
    expect(hits.reduce((sum, { count }) => sum + count, 0)).toBe(5000);
  });
});

describe('ways of writing a secret', () => {
  const escaped = (text: string) => Array.from(text, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  test.each([
    ['as JSON escapes', `{"t":"${escaped(token)}"}`],
    ['with one escape', `{"t":"${token.replace('p', '\\u0070')}"}`],
    ['as JSON in JSON', JSON.stringify({ t: JSON.stringify({ t: token }) })],
    ['as JSON in JSON, escaped', JSON.stringify({ t: `{"t":"${escaped(token)}"}` })],
    ['with zero-width characters', JSON.stringify({ t: `${token.slice(0, 9)}\u200b${token.slice(9)}` })],
    ['with tag characters', JSON.stringify({ t: `${token.slice(0, 9)}\u{e0041}${token.slice(9)}` })],
    ['in full width', JSON.stringify({ t: Array.from(token, (c) => String.fromCharCode(c.charCodeAt(0) + 0xfee0)).join('') })],
    ['with one percent sign', JSON.stringify({ t: token.replace('p', '%70') })],
    ['in base64', JSON.stringify({ t: Buffer.from(`my key is ${token}`).toString('base64') })],
    ['in hex', JSON.stringify({ t: Buffer.from(`key ${token}`).toString('hex') })],
    ['with percent signs', JSON.stringify({ t: Array.from(token, (c) => `%${c.charCodeAt(0).toString(16)}`).join('') })],
  ])('%s: it is found in the bytes, and gone from what goes on', (_, json) => {
    const verdict = inspectBytes(redact, Buffer.from(json));
    expect(verdict.kind).toBe('redacted');
    const left = verdict.kind === 'redacted' ? JSON.stringify(verdict.value) : '';
    expect(left).toMatch(/^\{"t":"(?:my key is |\{\\"t\\":\\")?\[redacted:secrets\/github-token\](?:\\"\})?"\}$/);
  });

  test('with escapes and no secret it is clean', () => {
    expect(inspectBytes(redact, Buffer.from('{"t":"caf\\u00e9 \\u2013 open"}'))).toEqual({ kind: 'clean' });
  });

  test('PJ-02: our own keys are told by their checksum', () => {
    expect(redactText(`key ${key}x and more`)).toBe('key [redacted:secrets/gatehouse-key] and more');
    const other = key.endsWith('0') ? '1' : '0';
    expect(redactText(`key ${key.slice(0, -1)}${other}`)).not.toContain('redacted');
  });

  test('PJ-02: a message that echoes a secret loses it and nothing else', () => {
    expect(redactText(`401 from postgres://app:t9Kq2ZtVb@db/x (Bearer ${token})`)).toBe(
      '401 from postgres://app:[redacted:secrets/url-password]@db/x (Bearer [redacted:secrets/github-token])',
    );
    expect(redactText('nothing to see')).toBe('nothing to see');
  });
});

describe('properties', () => {
  const plain = fc.string({ unit: fc.constantFrom(...'abc xyz,.;üЖ中é😀'), maxLength: 40 });
  const secret = fc.constantFrom(token, key, 'anna.keller@nordwind.io', 'DE89370400440532013000', '4242 4242 4242 4242');

  test('a planted secret is redacted and all around it stays, in any text', () => {
    fc.assert(
      fc.property(plain, secret, plain, (before, planted, after) => {
        const verdict = screenValue(redact, { t: `${before} ${planted} ${after}` });
        const text = verdict.kind === 'redacted' ? JSON.stringify(verdict.value) : '';
        expect(text).not.toContain(planted);
        expect(text.replace(/\[redacted:[a-z/-]+\]/, planted)).toBe(JSON.stringify({ t: `${before} ${planted} ${after}` }));
      }),
    );
  });

  test('bytes and value are judged alike, wherever in a JSON value it stands', () => {
    const leaf = fc.oneof(plain, secret, fc.integer(), fc.boolean(), fc.constant(null));
    const tree = fc.letrec<{ value: Json }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom('a', 'token', 'text', 'anna@nordwind.io'), tie('value'), { maxKeys: 4 }),
      ) as fc.Arbitrary<Json>,
    })).value;
    fc.assert(
      fc.property(tree, (value) => {
        const text = JSON.stringify(value);
        const escapedAll = text.replace(/[a-z@]/g, (c) => c);
        expect(JSON.stringify(inspectBytes(redact, Buffer.from(escapedAll)))).toBe(
          JSON.stringify(screenValue(redact, parseExact(text) as Json)),
        );
      }),
    );
  });

  test('the quick look hides nothing: what a walk finds, the bytes show', () => {
    // An escape anywhere forces the walk.
    for (const text of [...Object.values(positive).flat(), ...Object.values(benign).flat()]) {
      const json = JSON.stringify({ text });
      const walked = inspectBytes(flag, Buffer.from(`${json.slice(0, -1)},"x":"\\u0020"}`));
      expect(inspectBytes(flag, Buffer.from(json)), text).toEqual(walked);
    }
  });
});
