import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { gatewayCommand } from '../support/gateway.ts';
import { expectNoneLeft, type Spawned, spawnMarked } from '../support/processes.ts';
import { until } from '../support/until.ts';

const adminKey = 'command-line-test-key-0123456789abcdef';
let directory: string;
let gateway: Spawned;
let url: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-cli-'));
  mkdirSync(at('namespaces'));
  gateway = spawn(['serve', '--port', '0'], { GATEHOUSE_ADMIN_KEY: adminKey });
  url = await gateway.line('it listens', (line) => /"url":"(http:[^"]+)"/.exec(line)?.[1]);
});

afterAll(async () => {
  await gateway.stop();
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

const at = (name: string): string => join(directory, name);

function spawn(words: readonly string[], environment: Record<string, string> = {}): Spawned {
  const [command = '', ...args] = gatewayCommand;
  const env = { GATEHOUSE_DATA: at('data'), GATEHOUSE_NAMESPACES: at('namespaces'), ...environment };
  return spawnMarked(command, [...args, ...words], { env, cwd: directory });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs one command to its end. `input` is what it finds on standard input. */
async function run(words: readonly string[], environment: Record<string, string> = {}, input = ''): Promise<Ended> {
  const spawned = spawn(words, environment);
  spawned.child.stdin?.end(input);
  const code = await spawned.exited;
  await until('all it says is read', () => spawned.hasExited);
  return { code, out: spawned.stdout.join('\n'), err: spawned.stderr.join('\n') };
}

const gatehouse = (...words: readonly string[]): Promise<Ended> => run(words);
const json = async (...words: readonly string[]) => JSON.parse((await gatehouse(...words, '--json')).out);

describe('commands made of actions', () => {
  test('work on the running gateway, without a key', async () => {
    expect(await gatehouse('create-consumer', 'web', '--title', 'Web team', '--kind', 'team')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^id: web\ntitle: Web team\n/),
      err: '',
    });
    const limits = at('limits.yaml');
    writeFileSync(limits, '- per: key\n  rpm: 60\n');
    expect((await gatehouse('update-consumer', 'web', '--limits', `@${limits}`, '--is-disabled')).code).toBe(0);
    expect(await json('list-consumers')).toMatchObject({
      consumers: [{ id: 'web', isDisabled: true, limits: [{ per: 'key', rpm: 60 }] }],
    });
    expect((await gatehouse('list-consumers')).out).toMatch(/^id +title .*\nweb +Web team /);
  });

  test('take a key from its making to its end', async () => {
    await gatehouse('create-consumer', 'robots', '--title', 'Robots', '--kind', 'application');
    const made = await json('create-key', '--title', 'One', '--consumer', 'robots', '--expires-in-s', '1d');
    const id = /gh_([^_]+)_/.exec(JSON.stringify(made))?.[1] ?? '';
    expect((await gatehouse('list-keys')).out).toContain(id);
    expect((await gatehouse('revoke-key', id)).code).toBe(0);
    expect(JSON.stringify(await json('list-keys'))).toContain('revoked');
  });

  test('say beside an answer, on standard error, what of it is probably not meant', async () => {
    await gatehouse('create-consumer', 'slips', '--title', 'Slips', '--kind', 'application');
    const scope = '{"namespaces":["nowhere"]}';
    const { code, out, err } = await gatehouse('create-key', '--title', 'x', '--consumer', 'slips', '--scope', scope);
    expect([code, err]).toEqual([0, expect.stringMatching(/^warning: scope: namespaces "nowhere" is not there/)]);
    expect(out).toContain('secret: gh_');
    expect(out).not.toContain('warning');
  });

  test('are on record as asked for on the command line, in a table that fits', async () => {
    await gatehouse('create-consumer', 'recorded', '--title', 'x', '--kind', 'team');
    const found = () => json('search-audit', '--capability', 'consumer/recorded');
    await until('it can be found', async () => (await found()).calls.length > 0);
    expect((await found()).calls).toMatchObject([{ kind: 'change', record: { action: 'create_consumer', door: 'cli' } }]);
    const { out } = await gatehouse('search-audit', '--capability', 'consumer/recorded');
    expect(out).toMatch(/^at +caller +capability +decision +outcome +code +ms\n\S+Z +local:\S+ +consumer\/recorded /);
  });

  test('say what was refused, and exit with 1', async () => {
    expect(await gatehouse('revoke-key', 'nobody')).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^gatehouse: There is no key "nobody"\./),
    });
    expect((await run(['revoke-key', 'nobody', '--json'])).out).toContain('"no_such_object"');
  });

  test('say everything that is wrong with the command line, do nothing, and exit with 2', async () => {
    const { code, err } = await gatehouse('create-consumer', '-x', '--titel', 'T', '--kind', 'tem', 'Upper', 'more');
    expect(code).toBe(2);
    expect(err).toContain('-x is not known here.');
    expect(err).toContain('Did you mean "--title"?');
    expect(err).toContain('--kind: ');
    expect(err).toMatch(/"more" is one word too many|"Upper" is one word too many/);
    expect(await gatehouse('creat-consumer')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Did you mean "create-consumer"?'),
    });
    expect(await gatehouse('connect')).toMatchObject({ code: 2, err: expect.stringMatching(/'client'\n.*--help/) });
  });

  test('without a gateway say how to start one, and exit with 1', async () => {
    expect(await gatehouse('list-consumers', '--data', at('nowhere'))).toMatchObject({
      code: 1,
      err: expect.stringMatching(/No gateway is running on .*nowhere\. Start one with "gatehouse serve".*--url/),
    });
    expect(existsSync(at('nowhere'))).toBe(false);
  });
});

describe('a command line that is wrong', () => {
  const wrong = [
    ['a flag is unknown', ['create-consumer', 'x', '--nope'], /"--nope" is unknown|--nope/],
    ['the address is none', ['list-consumers', '--url', 'nowhere'], /nowhere/],
    ['there is no such command', ['make-consumer'], /There is no command "make-consumer"/],
    ['a flag of a command of its own is unknown', ['doctor', '--nope'], /unknown option '--nope'/],
  ] as const;

  test.each(wrong)('%s: says so in JSON where that is asked for, and on standard error always', async (_, words, said) => {
    const plain = await gatehouse(...words);
    expect(plain).toMatchObject({ code: 2, out: '', err: expect.stringMatching(said) });
    const { code, out, err } = await gatehouse(...words, '--json');
    expect([code, JSON.parse(out).error.code]).toEqual([2, 'bad_command_line']);
    expect([JSON.parse(out).error.message, err]).toEqual([expect.stringMatching(said), expect.stringMatching(said)]);
  });

  test('and one that is right answers with nothing of that', async () => {
    expect(await json('list-consumers')).not.toHaveProperty('error');
  });
});

describe('a gateway somewhere else', () => {
  test('is asked with its key, as whoever has it', async () => {
    const environment = { GATEHOUSE_KEY: adminKey, GATEHOUSE_DATA: at('nowhere') };
    expect(await run(['list-consumers', '--url', `${url}/mcp`], environment)).toMatchObject({ code: 0, err: '' });
    expect(await run(['list-consumers'], { ...environment, GATEHOUSE_URL: url })).toMatchObject({ code: 0, err: '' });
    expect(await run(['list-consumers', '--url', url], { GATEHOUSE_KEY: 'wrong' })).toMatchObject({
      code: 1,
      err: expect.stringContaining('This key is not known here'),
    });
    expect(await run(['list-consumers', '--url', url])).toMatchObject({ code: 2, err: expect.stringContaining('GATEHOUSE_KEY') });
  });

  test('that is hostile moves no cursor and gets nothing but the key it was given', async () => {
    const server = createServer((_request, response) =>
      response.writeHead(403).end(JSON.stringify({ error: { code: 'x', message: '\u001b[2J\u001b]0;owned\u0007done\u202e' } })),
    );
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const flags of [[], ['--json']]) {
      const { code, out, err } = await run(['list-keys', '--url', address, ...flags], { GATEHOUSE_KEY: 'k' });
      expect(code).toBe(1);
      expect(out + err).toContain('owned');
      expect(out + err).not.toMatch(/[\u001b\u0007\u202e]/);
    }
  });
});

describe('secrets', () => {
  test('come from standard input or a file, and are never shown', async () => {
    const hushed = 'hush-hush-4711';
    expect(await run(['set-secret', 'CRM_TOKEN'], {}, `${hushed}\n`)).toMatchObject({ code: 0 });
    writeFileSync(at('token'), hushed);
    const { code, out } = await gatehouse('set-secret', 'CRM_TOKEN', '--from-file', at('token'));
    expect([code, out.includes(hushed)]).toEqual([0, false]);
    expect((await gatehouse('list-secrets')).out).toContain('CRM_TOKEN');
    expect(await gatehouse('set-secret', 'CRM_TOKEN', '--from-file', at('none'))).toMatchObject({ code: 2 });
    expect(await gatehouse('set-secret', 'CRM_TOKEN')).toMatchObject({ code: 2, err: expect.stringContaining('is empty') });
    expect(await gatehouse('set-secret', 'CRM_TOKEN', '--no-value')).toMatchObject({ code: 0 });
  });
});

describe('a file of everything', () => {
  const file = 'namespaces:\n  - namespace: hr\n    description: People\n';

  test('is planned, applied and exported', async () => {
    writeFileSync(at('all.yaml'), file);
    expect(await gatehouse('plan', at('all.yaml'))).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\+ namespace hr \(line 2\)\n1 document would change\.$/),
    });
    expect(await gatehouse('apply', at('all.yaml'))).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 document changed.'),
    });
    expect(await run(['apply', '-'], {}, file)).toMatchObject({ code: 0, out: 'Nothing changed.' });
    const exported = await gatehouse('export');
    expect(exported.out).toContain('namespace: hr');
    expect(await run(['plan', '-', '--prune'], {}, exported.out)).toMatchObject({ code: 0, out: 'Nothing would change.' });
  });

  test('that is wrong is told line by line, and nothing happens', async () => {
    writeFileSync(at('wrong.yaml'), 'namespaces:\n  - namespace: finance\n    descriptoin: x\n');
    expect(await gatehouse('plan', at('wrong.yaml'))).toMatchObject({ code: 1, out: expect.stringMatching(/^error in line 3/) });
    expect(await gatehouse('apply', at('wrong.yaml'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('Nothing was imported'),
    });
    expect((await gatehouse('list-namespaces')).out).not.toContain('finance');
    expect(await gatehouse('apply', at('none.yaml'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('There is no file'),
    });
  });
});

describe('operations', () => {
  test('a backup is made while the gateway runs, and restored elsewhere', async () => {
    const made = await run(['backup', at('b'), '--json']);
    expect(JSON.parse(made.out)).toMatchObject({ file: at('b') });
    expect(readFileSync(at('b')).length).toBeGreaterThan(1000);
    expect(await gatehouse('restore', at('b'), '--keys', 'keep')).toMatchObject({
      code: 1,
      err: expect.stringContaining('A gateway runs on'),
    });
    const key = readFileSync(at('data/master.key'), 'utf8').trim();
    const other = { GATEHOUSE_DATA: at('other'), GATEHOUSE_MASTER_KEY: key };
    expect(await run(['restore', at('b')], other)).toMatchObject({ code: 1, err: expect.stringContaining('--keys revoke') });
    expect(await run(['restore', at('b'), '--keys', 'revoke'], other)).toMatchObject({ code: 0 });
    expect(await run(['restore', at('b'), '--keys', 'revoke'], other)).toMatchObject({ code: 1 });
    expect(await run(['restore', at('b'), '--keys', 'revoke', '--replace'], other)).toMatchObject({ code: 0 });
  });

  test('the master key is changed under a running gateway: progress is on standard error, the answer alone on the other', async () => {
    const { code, out, err } = await gatehouse('rotate-master-key', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ version: 2 });
    expect(err).toMatch(/\d+ of \d+ keys/);
    expect(await run(['set-secret', 'AFTERWARDS'], {}, 'x')).toMatchObject({ code: 0 });
  });

  test('the journal is checked, against a head of it as well', async () => {
    const first = await gatehouse('audit', 'verify');
    expect(first).toMatchObject({ code: 0, out: expect.stringContaining('The journal is as it was written.') });
    const [, head = ''] = /head (\S+)/.exec(first.out) ?? [];
    expect(await gatehouse('audit', 'verify', '--head', head)).toMatchObject({ code: 0 });
    expect(await gatehouse('audit', 'verify', '--head', head, '--head', head.replace(/:\d+:/, ':99999:'))).toMatchObject({
      code: 1,
    });
    expect(await gatehouse('audit', 'verify', '--head', 'x')).toMatchObject({ code: 2 });
    // Without the store that has its key, hashes are all that can be checked.
    cpSync(at('data/journal'), at('alone/journal'), { recursive: true });
    const alone = await run(['audit', 'verify'], { GATEHOUSE_DATA: at('alone') });
    expect(alone).toMatchObject({ code: 0, out: expect.stringContaining('Seals were not checked') });
    expect(alone.out).not.toContain('as it was written');
    expect(await gatehouse('audit', 'verify', '--dir', at('none'))).toMatchObject({ code: 2 });
  });

  test('doctor says that all is well, and of a restored store which time it is of', async () => {
    expect(await gatehouse('doctor')).toMatchObject({ code: 0, out: expect.stringContaining('has been running for') });
    expect(await json('doctor')).toMatchObject({ isRunning: true, journal: { isWritable: true }, breakers: [], issuers: [] });
    const key = readFileSync(at('data/master.key.1'), 'utf8').trim();
    const restored = await run(['doctor'], { GATEHOUSE_DATA: at('other'), GATEHOUSE_MASTER_KEY: key });
    expect(restored.out).toMatch(/note the store was restored 20.*Z from a backup of 20.*Z/);
  });
});

describe('help', () => {
  test('is short, grouped, and has every command', async () => {
    const { code, out } = await gatehouse('--help');
    expect(code).toBe(0);
    for (const group of ['Run:', 'Connect:', 'Look:', 'Operate:', 'Administer'])
      expect(out).toMatch(new RegExp(`^${group}`, 'm'));
    expect(out.split('\n').length).toBeLessThan(75);
    expect((await gatehouse('help')).out).toBe(out);
    expect((await gatehouse('help', 'settings')).out).toContain('GATEHOUSE_PORT');
    expect((await gatehouse('help', 'admin')).out).toMatch(/^ {2}create-consumer +Create a consumer$/m);
    expect((await gatehouse('help', 'apply')).out).toBe((await gatehouse('apply', '--help')).out);
    expect((await gatehouse('help', 'backup')).out).toContain('[file]');
    expect(await gatehouse('help', 'aply')).toMatchObject({ code: 2, err: expect.stringContaining('Did you mean "apply"?') });
    expect(await gatehouse('backup', '--foo')).toMatchObject({ code: 2 });
  });
});

describe('doctor', () => {
  test('says once what a model lacks, nothing of a protocol that it has not, and where a secret may be set', async () => {
    const targets = [
      `{ provider: openai, model: a, key: "\${secret:LACKING_HERE}" }`,
      '{ provider: openai-compatible, model: b, url: "http://127.0.0.1:9/v1" }',
    ];
    const none = `{ provider: openai, model: a, key: "\${secret:LACKING_TOO}" }`;
    const yaml = `namespace: doctored\nupstreams:\n  half: { kind: model, targets: [${targets.join(', ')}] }\n  none: { kind: model, targets: [${none}] }\n`;
    writeFileSync(join(at('namespaces'), 'doctored.yaml'), yaml);
    onTestFinished(() => rmSync(join(at('namespaces'), 'doctored.yaml')));
    const { out } = await until('the model is served', async () => {
      const asked = await gatehouse('doctor');
      return asked.out.includes('ok   doctored/half') && asked.out.includes('doctored/none: not') && asked;
    });
    expect(out.split('LACKING_HERE is not set').length).toBe(2);
    expect(out.split('LACKING_TOO is not set').length).toBe(2);
    expect(out).toContain('FAIL doctored/none: not ready, 1 tools\n');
    expect(out).toContain('gatehouse set-secret');
    expect(out).toContain('\n     http, openai, openai-compatible; calls: 0 succeeded, 0 failed');
  });

  test('names a line of a toolbox that takes nothing, and no line that does', async () => {
    const model = 'half: { kind: model, targets: [{ provider: openai-compatible, model: b, url: "http://127.0.0.1:9/v1" }] }';
    const toolboxes = 'toolboxes:\n  desk: { include: [doctored/half, doctored/helf] }\n';
    writeFileSync(join(at('namespaces'), 'doctored.yaml'), `namespace: doctored\nupstreams:\n  ${model}\n${toolboxes}`);
    onTestFinished(() => rmSync(join(at('namespaces'), 'doctored.yaml')));
    const { out } = await until('the model is served', async () => {
      const asked = await gatehouse('doctor');
      return asked.out.includes('ok   doctored/half') && asked;
    });
    const lines = out.split('\n').filter((line) => line.includes('toolbox desk'));
    expect(lines).toEqual([expect.stringMatching(/^note toolbox desk: "doctored\/helf": No tool or prompt is named so\./)]);
  });

  test('names a line of a policy in a file that holds nothing, with what was meant, and no line that does', async () => {
    const model = 'half: { kind: model, targets: [{ provider: openai-compatible, model: b, url: "http://127.0.0.1:9/v1" }] }';
    const policy = 'policy:\n  gates: [{ match: doctored/half, by: caller }, { match: doctored/helf, by: caller }]\n';
    writeFileSync(join(at('namespaces'), 'doctored.yaml'), `namespace: doctored\nupstreams:\n  ${model}\n${policy}`);
    onTestFinished(() => rmSync(join(at('namespaces'), 'doctored.yaml')));
    const { out, code } = await until('the model is served', async () => {
      const asked = await gatehouse('doctor');
      return asked.out.includes('ok   doctored/half') && asked;
    });
    const lines = out.split('\n').filter((line) => line.includes('note policy'));
    expect(lines).toEqual([
      expect.stringMatching(
        /^note policy namespace:doctored in .*doctored\.yaml: gates\[1\]\.match: "doctored\/helf" takes nothing right now.*Did you mean "doctored\/half"\?$/,
      ),
    ]);
    expect(code).toBe(0);
    const health = await json('get-health');
    expect(health.policies).toEqual([expect.objectContaining({ scope: 'namespace:doctored' })]);
  });

  test('names a line of a toolbox whose upstream has never answered', async () => {
    const gone = 'gone: { kind: mcp, url: "http://127.0.0.1:9/mcp" }';
    const toolboxes = 'toolboxes:\n  desk: { include: [doctored/gone, doctored/gone/*] }\n';
    writeFileSync(join(at('namespaces'), 'doctored.yaml'), `namespace: doctored\nupstreams:\n  ${gone}\n${toolboxes}`);
    onTestFinished(() => rmSync(join(at('namespaces'), 'doctored.yaml')));
    const { out } = await until('it is known', async () => {
      const asked = await gatehouse('doctor');
      return asked.out.includes('doctored/gone: down') && asked;
    });
    expect(out.split('\n').filter((line) => line.includes('toolbox desk'))).toEqual([
      'note toolbox desk: "doctored/gone": Takes nothing as long as doctored/gone has never said what it offers. To take the whole upstream write "doctored/gone/*".',
    ]);
  });

  test('does not speak of an earlier connection where there was none', async () => {
    const yaml = 'namespace: doctored\nupstreams:\n  gone: { kind: mcp, url: "http://127.0.0.1:9/mcp" }\n';
    writeFileSync(join(at('namespaces'), 'doctored.yaml'), yaml);
    onTestFinished(() => rmSync(join(at('namespaces'), 'doctored.yaml')));
    const { out, code } = await until('it is known', async () => {
      const asked = await gatehouse('doctor');
      return asked.out.includes('doctored/gone: down') && asked;
    });
    expect([code, out]).toEqual([1, expect.stringContaining('FAIL doctored/gone: down, 0 tools\n')]);
  });
});
