import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { actions } from '../../src/admin/actions.ts';
import { type Flag, flagsOf } from '../../src/cli/action-flags.ts';
import { actionCommand, actionsByNoun, commandName } from '../../src/cli/action-help.ts';
import { readFlags } from '../../src/cli/read-flags.ts';
import { findAction } from '../../src/cli/run-action.ts';
import { shortcuts } from '../../src/cli/shortcuts.ts';

const sample = {
  name: 'make_thing',
  route: 'POST /things',
  input: z.strictObject({
    id: z.string(),
    title: z.string(),
    kind: z.enum(['team', 'application']),
    size: z.number().optional(),
    endsAtMs: z.number().optional(),
    graceS: z.number().optional(),
    isDisabled: z.boolean().optional(),
    tags: z.array(z.string()).optional(),
    limits: z.array(z.object({ per: z.string() })).optional(),
    note: z.string().nullable().optional(),
  }),
};
const flags = flagsOf(sample);
const own = { json: true, url: false };
const needed = ['t1', '--title', 'T', '--kind', 'team'];
const read = (...words: readonly string[]) => readFlags(words, flags, own);

describe('the command of an action', () => {
  it.each(actions.map((action) => [commandName(action), action] as const))('%s: its help names every input', (name, action) => {
    const command = findAction(name);
    expect(command?.action).toBe(action);
    const help = actionCommand(command!).helpInformation();
    const inputs = Object.keys(action.input.shape);
    expect(command!.flags.map(({ key }) => key).sort()).toEqual(inputs.sort());
    for (const flag of command!.flags) {
      if (flag.isSecret) expect(help).toContain('--from-file');
      else expect(help).toMatch(new RegExp(flag.isPositional ? `^ {2}${flag.name} ` : `^ {2}--${flag.name}\\b`, 'm'));
    }
  });

  it('hides no action from the main help, and every short name has one behind it', () => {
    const help = actionsByNoun(actions);
    for (const action of actions) expect(help).toMatch(new RegExp(` ${commandName(action)}( |$)`, 'm'));
    for (const { name } of shortcuts) expect(findAction(name)?.name).toBe(name);
  });

  it('has no two inputs under one name, and none that the short help of a shortcut leaves out', () => {
    for (const action of actions) {
      const names = flagsOf(action).map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
    }
  });
});

describe('words become an input', () => {
  it('in every form', async () => {
    const words = ['--size', '3', '--ends-at-ms', '2030-01-31', '--grace-s=2h', '--is-disabled', '--tags', 'a', '--tags', '-b'];
    const { input, problems } = await read(...needed, ...words, '--limits', '[{"per":"key"}]', '--no-note', '--json');
    expect(problems).toEqual([]);
    expect(input).toEqual({
      id: 't1',
      title: 'T',
      kind: 'team',
      size: 3,
      endsAtMs: Date.UTC(2030, 0, 31),
      graceS: 7200,
      isDisabled: true,
      tags: ['a', '-b'],
      limits: [{ per: 'key' }],
      note: null,
    });
  });

  it.each([
    [['--is-disabled', 'false'], { isDisabled: false }],
    [['--is-disabled=false'], { isDisabled: false }],
    [['--no-is-disabled'], { isDisabled: false }],
    [['--is-disabled', 'true'], { isDisabled: true }],
    [['--tags', '["x","y"]'], { tags: ['x', 'y'] }],
    [['--note=--starts with dashes'], { note: '--starts with dashes' }],
    [['--note', ''], { note: '' }],
  ])('%j', async (words, wanted) => {
    expect(await read(...needed, ...words)).toMatchObject({ input: wanted, problems: [] });
  });

  it('whose id may have its name or not, and stand anywhere', async () => {
    expect((await read('--title', 'T', '--kind', 'team', 't1')).input.id).toBe('t1');
    expect((await read('--title', 'T', '--kind', 'team', '--id', '--t1')).problems).not.toEqual([]);
    expect((await read('--title', 'T', '--kind', 'team', '--id=--t1')).input.id).toBe('--t1');
    expect((await read('--title', 'T', '--kind', 'team', '--', '--t1')).input.id).toBe('--t1');
  });

  it.each([
    ['submit-capability', ['support/crm']],
    ['submit-capability', ['support', 'crm']],
    ['register-upstream', ['support/crm']],
    ['update-upstream', ['support', 'crm']],
    ['get-model', ['support/crm']],
  ])('%s: %j is its namespace and its name', async (name, words) => {
    const given = await readFlags(words, findAction(name)?.flags ?? [], own);
    expect(given.input).toEqual({ namespace: 'support', name: 'crm' });
    expect(given.problems.join()).not.toMatch(/<namespace>|<name>|too many/);
  });

  it('and of a name in two parts, what is missing or too much is told', async () => {
    const submit = findAction('submit-capability')?.flags ?? [];
    expect((await readFlags(['support'], submit, own)).problems).toContainEqual(expect.stringContaining('<name> is missing.'));
    expect((await readFlags(['support/crm', 'x'], submit, own)).problems).toContain('"x" is one word too many.');
    expect((await readFlags(['--id=s-1', 'support/crm'], submit, own)).input).toMatchObject({ id: 's-1', name: 'crm' });
    // An id has no parts, whatever stands in it.
    expect((await read('a/b', '--title', 'T', '--kind', 'team')).input.id).toBe('a/b');
  });

  it('and every problem is named at once', async () => {
    const { problems } = await read('--titel', 'T', '--size', 'big', '--tagz', 'x', '--limits', '{', '--url', 't1', 't2');
    expect(problems).toEqual([
      '--titel is not known here. Did you mean "--title"?',
      '--tagz is not known here. Did you mean "--tags"?',
      '--size is "big"; write a number.',
      expect.stringContaining('--limits is no JSON.'),
      '--kind is missing.',
    ]);
  });

  it('unless a value, or what it belongs to, is missing', async () => {
    expect((await read(...needed, '--size')).problems).toEqual([expect.stringContaining('--size needs a value')]);
    expect((await read(...needed, '--size', '--json')).problems).toEqual([expect.stringContaining('--size needs a value')]);
    expect((await read(...needed, 'more')).problems).toEqual(['"more" is one word too many.']);
    expect((await read(...needed, '--title', 'twice')).problems).toEqual(['--title is given 2 times; once is meant.']);
    expect((await read(...needed, '--json=yes')).problems).toEqual(['--json takes no value.']);
    expect((await read(...needed, '--no-title')).problems).toEqual([expect.stringContaining('--no-title is not known here.')]);
  });

  it('exactly as they are, whatever they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), fc.array(fc.string(), { minLength: 2 }), fc.jsonValue(), async (title, tags, limits) => {
        const words = [`--title=${title}`, ...tags.map((tag) => `--tags=${tag}`), `--limits=${JSON.stringify(limits)}`];
        const { input, problems } = await read('t1', '--kind', 'team', ...words);
        expect(problems).toEqual([]);
        expect(input).toEqual({ id: 't1', kind: 'team', title, tags, limits: JSON.parse(JSON.stringify(limits)) });
      }),
    );
  });

  it('and names that every object has are names like others', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect((await read(...needed, `--${name}=x`)).problems).toEqual([expect.stringContaining('is not known here')]);
      expect((await read(...needed, `--no-${name}`)).problems).toEqual([expect.stringContaining('is not known here')]);
    }
  });
});

describe('a secret', () => {
  const secretFlags = flagsOf({
    name: 'set_secret',
    route: 'PUT /secrets/{name}',
    input: z.strictObject({
      name: z.string(),
      value: z.string().nullable(),
      key: z.string().meta({ writeOnly: true }).optional(),
    }),
  });

  it('is no flag, and who gives it as one is told why', async () => {
    expect(secretFlags.filter(({ isSecret }: Flag) => isSecret).map(({ key }) => key)).toEqual(['value', 'key']);
    for (const words of [['--value', 'hush'], ['--value=hush'], ['--key', 'hush']]) {
      const { problems, input } = await readFlags(['CRM', ...words], secretFlags, own);
      expect(problems).toEqual([expect.stringContaining('would show a secret in the list of processes')]);
      expect(JSON.stringify([problems, input])).not.toContain('hush');
    }
  });

  it('can be taken away by a flag', async () => {
    expect((await readFlags(['CRM', '--no-value'], secretFlags, own)).input).toEqual({ name: 'CRM', value: null });
  });
});
