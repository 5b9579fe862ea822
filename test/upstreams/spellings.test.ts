import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blankInTurns, blankOut, blankText, secretForms } from '../../src/upstreams/blank-out.ts';
import { longestTurnMs } from '../support/longest-turn.ts';

const rounds = process.env.TEST_LONG === undefined ? 300 : 20_000;

const secrets = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9+/=_.-]{12,40}$/),
  fc.stringMatching(/^[!-~]{12,30}$/).filter((secret) => !/\\|%/.test(secret)),
  fc.constantFrom('pässwörd-ünd-mehr', '秘密のかぎ-1234', 'key-with-\u{1f511}-in-it'),
);

const hex = (code: number, digits: number) => code.toString(16).padStart(digits, '0');
const escaped = (unit: string) => `\\u${hex(unit.charCodeAt(0), 4)}`;

/** How a client that decodes JSON may be told one UTF-16 unit. */
const ways: readonly ((unit: string) => string)[] = [
  (unit) => JSON.stringify(unit).slice(1, -1),
  escaped,
  (unit) => escaped(unit).toUpperCase().replace('U', 'u'),
  (unit) => (unit === '/' ? '\\/' : escaped(unit)),
];

/** A secret in JSON, each character spelled in a way of its own. */
function spelled(secret: string): fc.Arbitrary<string> {
  const units = secret.split('');
  // One half of a pair as it is and the other escaped is no text.
  const isPaired = units.map((unit) => /[\ud800-\udfff]/.test(unit));
  return fc
    .array(fc.nat(ways.length - 1), { minLength: units.length, maxLength: units.length })
    .map((chosen) => units.map((unit, at) => ways[isPaired[at] ? 1 : (chosen[at] ?? 0)]?.(unit)).join(''));
}

const withSpelling = secrets.chain((secret) => fc.tuple(fc.constant(secret), spelled(secret)));

function blanked(text: string, secret: string): string {
  const bytes = Buffer.from(text);
  blankOut(bytes, secretForms([secret]));
  return bytes.toString();
}

describe('SK-03: a secret that is spelled with escapes', () => {
  test('is not in what a client decodes, which stays JSON and as long as it was', () => {
    fc.assert(
      fc.property(withSpelling, fc.string(), fc.string(), ([secret, spelling], before, after) => {
        const text = `{"told":"${JSON.stringify(before).slice(1, -1)}${spelling}${JSON.stringify(after).slice(1, -1)}"}`;
        const out = blanked(text, secret);
        expect(Buffer.byteLength(out)).toBe(Buffer.byteLength(text));
        const { told } = JSON.parse(out) as { told: string };
        expect(told).not.toContain(secret);
        expect(told).toContain('********');
      }),
      { numRuns: rounds },
    );
  });

  test('is not in JSON within JSON either', () => {
    fc.assert(
      fc.property(withSpelling, ([secret, spelling]) => {
        const out = JSON.parse(blanked(JSON.stringify({ told: `{"inner":"${spelling}"}` }), secret)) as { told: string };
        expect((JSON.parse(out.told) as { inner: string }).inner).not.toContain(secret);
      }),
      { numRuns: rounds },
    );
  });

  test('is not in an address, in whatever case and however much of it is escaped', () => {
    const some = fc.infiniteStream(fc.nat(2));
    fc.assert(
      fc.property(secrets, some, (secret, choices) => {
        const next = () => choices.next().value ?? 0;
        const bytes = [...Buffer.from(secret)].map((byte) => {
          const sign = String.fromCharCode(byte);
          const choice = next();
          if (choice === 0 && byte < 0x80 && sign !== '%') return sign;
          return `%${choice === 1 ? hex(byte, 2) : hex(byte, 2).toUpperCase()}`;
        });
        const out = blankText(`at https://a.example/?key=${bytes.join('')} it was`, secretForms([secret]));
        expect(decodeURIComponent(out)).toMatch(/^at https:\/\/a\.example\/\?key=\*+ it was$/);
      }),
      { numRuns: rounds },
    );
  });

  test.each([
    ['an escape in lower case', 'evil\\u002dtoken\\u002dcanary-1234567890'],
    ['an escape in upper case', 'evil\\u002Dtoken-canary-1234567890'],
    ['every character', [...'evil-token-canary-1234567890'].map(escaped).join('')],
    ['an escape within an escape', 'evil\\\\u002dtoken-canary-1234567890'],
    ['an escaped backslash of an escape', 'evil\\u005cu002dtoken-canary-1234567890'],
    ['an escaped percent sign', 'evil\\u00252dtoken-canary-1234567890'],
    ['a percent sign that is escaped as such', 'evil%252dtoken-canary-1234567890'],
    ['both', '\\u0065vil%2dtoken-canary%2D1234567890'],
  ])('is found with %s', (_how, spelling) => {
    expect(blanked(`{"a":"x ${spelling} y"}`, 'evil-token-canary-1234567890')).toMatch(/^\{"a":"x \*+ y"\}$/);
  });

  test('does not take half of an escape with it', () => {
    const secret = '/a+b/c=d-1234';
    for (const text of [
      '"\\\\\\/a\\u002bb/c=d-1234"',
      '"\\n\\/a+b/c\\u003dd-1234\\""',
      '"\\/a\\/b \\u002f\\u0061+b/c=d-1234\\\\"',
    ])
      expect(JSON.parse(blanked(text, secret)), text).not.toContain('c=d-1234');
  });
});

describe('an answer without the secret', () => {
  const secret = 's3cret/+=-key/with/slashes';

  test('is unchanged byte for byte, whatever escapes it has', () => {
    const noise = fc.array(
      fc.constantFrom('\\u002d', '\\u003D', '%2F', '%', '\\/', '\\\\', '\\"', '\\u00', 'é', 's3cret', '/+=-key', 'a'),
    );
    fc.assert(
      fc.property(noise, (parts) => {
        const text = parts.join('').replaceAll(/s3cret(?=\W)/g, 'secret');
        expect(blanked(text, secret)).toBe(text);
      }),
      { numRuns: rounds },
    );
  });

  test.each([
    ['begins as it does', 's3cret\\u002f+=-key\\/with'],
    ['has one letter that is another', 's3cret\\u002f+=-key\\/with\\u002fslashed'],
    ['has it in capitals', 'S3CRET\\u002f+=-KEY/WITH/SLASHES'],
  ])('is unchanged where it %s', (_what, text) => {
    expect(blanked(text, secret)).toBe(text);
  });
});

test('a long answer of nothing but escapes is read in a time that grows with it', () => {
  const secret = 'sk-proj-Ab/1+2s=k';
  for (const unit of ['\\', '\\u005c', '%25', '\\u002d', 'sk\\u002dproj-Ab/1+2s=', 'sk\\u002dproj-Ab\\/1+2s=k']) {
    const bytes = Buffer.from(unit.repeat(Math.ceil(1_000_000 / unit.length)));
    const startedAt = performance.now();
    blankOut(bytes, secretForms([secret]));
    expect(performance.now() - startedAt, unit).toBeLessThan(3_000);
  }
});

describe('a large answer', () => {
  const secret = 'sk-proj-Ab/1+2s=k';
  const forms = secretForms([secret]);
  const noises = ['Some words, and "quotes". ', '\\n\\"', '\\\\', '%41', '\\u00e9', '\\/', '/\\\\\\/', 'é'];
  const spellings = [
    'sk\\u002dproj-Ab/1+2s=k',
    'sk-proj-Ab\\\\\\/1+2s=k',
    'sk%2Dproj-Ab%2f1+2s=k',
    secret,
    'sk\\u002dproj-Ab\\u002f1',
  ];

  test('has the same blanks wherever a secret stands in it, at once and in turns', async () => {
    for (const noise of noises) {
      const length = Math.floor((256 * 1024 - 40) / noise.length);
      for (const spelling of spellings) {
        const around = noise.repeat(length);
        const text = `"${around}"${spelling}" "${around}"${spelling}"`;
        const expected = `"${around}"${blanked(`"${spelling}"`, secret).slice(1, -1)}" "`;
        const [atOnce, inTurns] = [Buffer.from(text), Buffer.from(text)];
        blankOut(atOnce, forms);
        await blankInTurns(inTurns, forms);
        expect(atOnce.equals(inTurns), `${noise} ${spelling}`).toBe(true);
        expect(atOnce.toString().startsWith(expected), `${noise} ${spelling}`).toBe(true);
      }
    }
  });

  test.each(['\\u002d', '%2d', 'a\\u002d%2d\\/', '\\u00252d', 'sk\\u002dproj-Ab/1+2s=', 'sk\\u002dproj-Ab\\/1+2s=k '])(
    'holds up nobody while it is looked through: %s',
    async (unit) => {
      const bytes = Buffer.from(unit.repeat(Math.ceil((8 * 1024 * 1024) / unit.length)));
      // All at once it takes some ten times as long.
      expect(await longestTurnMs(async () => await blankInTurns(bytes, forms))).toBeLessThan(50);
    },
  );
});
