import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { writeYaml } from '../../src/admin/write-yaml.ts';

const text = fc.oneof(
  fc.string(),
  fc.constantFrom('', 'a\nb\n', '  x', '- y', 'null', '1', 'a: b', '# c', '\n\n', 'x\n  y\n\nz', 'true'),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
}));

test('what is written entry by entry is what is written at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        text.filter((key) => key !== '__proto__'),
        value,
        { maxKeys: 5 },
      ),
      async (given) => {
        const written = await writeYaml(given);
        expect(parse(written)).toEqual(given);
        expect(written).toBe(stringify(given, { lineWidth: 0, aliasDuplicateObjects: false }));
      },
    ),
    { numRuns: process.env.TEST_LONG === '1' ? 20_000 : 500 },
  );
});
