import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readFlags } from '../../src/cli/read-flags.ts';
import { findAction } from '../../src/cli/run-action.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = ['README.md', ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : []))];
const own = { json: true, url: false, data: false, config: false, 'from-file': false };

const examples = pages.flatMap((page) =>
  Array.from(readFileSync(join(root, page), 'utf8').matchAll(/```(?:sh)?\n([\s\S]*?)```/g), ([, block = '']) => block)
    .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
    .flatMap((line) => {
      const [, command] = /(?:^|[|] |^\w+=\S+ )(?:npx )?gatehouse (.*?)(?: {3,}.*| > .*)?$/.exec(line) ?? [];
      const [name = '', ...words] = split(command ?? '');
      const found = findAction(name);
      return found === undefined ? [] : [{ page, line, found, words }];
    }),
);

/** As a shell would, for what stands in the pages: words, and quotes around them. */
function split(line: string): string[] {
  return Array.from(line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g), ([, single, double, bare]) => single ?? double ?? bare ?? '');
}

test('the pages show commands', () => {
  expect(examples.length).toBeGreaterThan(10);
});

test.each(examples)('$page: $line', async ({ found, words }) => {
  // Files of an example are not there.
  const { problems, input } = await readFlags(
    words.map((word) => (word.startsWith('@') ? '{}' : word)),
    found.flags.map((flag) => (flag.shape === 'file' ? { ...flag, shape: 'text' } : flag)),
    own,
  );
  expect(problems).toEqual([]);
  const isWhole = !words.some((word) => word.startsWith('@')) && !found.flags.some(({ isSecret }) => isSecret);
  if (isWhole) expect(found.action.input.safeParse(input).error?.issues ?? []).toEqual([]);
});
