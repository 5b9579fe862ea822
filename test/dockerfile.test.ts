import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');

interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

function parse(text: string): Stage[] {
  const lines = text
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: { image: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, keyword = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    const [, image, name] = keyword === 'FROM' ? (/^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(rest) ?? []) : [];
    if (image !== undefined) stages.push({ image, name, instructions: [] });
    else stages.at(-1)?.instructions.push({ keyword, text: rest });
  }
  return stages;
}

function texts(stage: Stage | undefined, keyword: string): string[] {
  return (stage?.instructions ?? []).filter((one) => one.keyword === keyword).map(({ text }) => text);
}

/** What is wrong with a Dockerfile, one clause each. */
function faults(text: string): string[] {
  const stages = parse(text);
  const final = stages.at(-1);
  const found: string[] = [];
  for (const { image } of stages) if (!/:[^:]*\d/.test(image) || image.endsWith(':latest')) found.push(`${image} has no version`);
  if (!texts(final, 'USER').some((user) => user !== 'root' && user !== '0')) found.push('runs as root');
  if (!texts(final, 'HEALTHCHECK').some((check) => check.includes('/healthz'))) found.push('has no health check');
  for (const stage of stages) {
    const settings = [...texts(stage, 'ENV'), ...texts(stage, 'ARG')].join(' ');
    for (const [name] of settings.matchAll(/\b\w*(KEY|TOKEN|SECRET|PASSWORD)\w*\s*=/g))
      found.push(`bakes in ${name.slice(0, -1)}`);
    for (const copy of texts(stage, 'COPY')) found.push(...missingSources(copy, stages));
  }
  return found;
}

function missingSources(copy: string, stages: readonly Stage[]): string[] {
  const words = copy.split(/\s+/);
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
  if (from !== undefined) return stages.some(({ name }) => name === from) ? [] : [`copies from "${from}", which is no stage`];
  return sources.filter((source) => !isSent(source)).map((source) => `copies ${source}, which is not there or ignored`);
}

const sent = readFileSync(join(root, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('!'));

function isSent(source: string): boolean {
  const isListed = sent.some((line) => line.slice(1) === source || line.startsWith(`!${source}/`));
  return isListed && existsSync(join(root, source));
}

describe('the Dockerfile', () => {
  test('pins its images, runs as somebody, checks its health, holds no secret and copies what exists', () => {
    expect(parse(dockerfile)).toHaveLength(2);
    expect(faults(dockerfile)).toEqual([]);
  });

  test.each([
    ['runs as root', dockerfile.replaceAll(/^USER .*\n/gm, '')],
    ['has no health check', dockerfile.replace('/healthz', '/')],
    ['node:latest has no version', dockerfile.replaceAll('node:24-bookworm-slim', 'node:latest')],
    ['bakes in GATEHOUSE_ADMIN_KEY', dockerfile.replace('NODE_ENV=production', 'GATEHOUSE_ADMIN_KEY=x')],
    ['copies namespaces, which is not there or ignored', dockerfile.replace('COPY src ./src', 'COPY namespaces ./src')],
    ['copies from "builder", which is no stage', dockerfile.replace('--from=build', '--from=builder')],
  ])('a file that %s is seen as such', (fault, text) => {
    expect(faults(text)).toContain(fault);
  });
});

// A container engine is not everywhere: the same steps, in a directory that holds only what an image would.
describe.skipIf(process.platform === 'win32')('what the Dockerfile builds', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-image-'));
  const app = join(directory, 'app');
  const data = join(directory, 'data');
  let running: ChildProcess | undefined;
  afterAll(() => {
    running?.kill('SIGKILL');
    if (existsSync(app)) execFileSync('chmod', ['-R', 'u+w', app]);
    rmSync(directory, { recursive: true, force: true });
  });

  test('the steps of the build stage succeed in a clean directory', { timeout: 300_000 }, () => {
    const [build] = parse(dockerfile);
    const work = join(directory, 'build');
    mkdirSync(work);
    for (const copy of texts(build, 'COPY')) {
      const words = copy.split(/\s+/);
      const target = words.at(-1) ?? '';
      for (const source of words.slice(0, -1))
        cpSync(join(root, source), join(work, target, target.endsWith('/') ? source : ''), { recursive: true });
    }
    // The Node of the image is 24, and what npm needs was fetched when this checkout was installed.
    const environment = {
      ...process.env,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
      npm_config_prefer_offline: 'true',
      // What is compiled while building belongs into what is built.
      NODE_COMPILE_CACHE: undefined,
    };
    for (const step of texts(build, 'RUN')) {
      const { status, stdout, stderr } = spawnSync('sh', ['-ec', step], { cwd: work, env: environment, encoding: 'utf8' });
      expect(status, `${step}\n${stdout}\n${stderr}`).toBe(0);
    }
    mkdirSync(app);
    cpSync(join(work, 'package.json'), join(app, 'package.json'));
    cpSync(join(work, 'dist'), join(app, 'dist'), { recursive: true });
    rmSync(work, { recursive: true });
  });

  test('it starts as nobody in a tree that cannot be written, and its own health check passes', { timeout: 60_000 }, async () => {
    const final = parse(dockerfile).at(-1);
    for (const name of ['data', 'namespaces', 'imports']) mkdirSync(join(directory, name));
    execFileSync('chmod', ['-R', 'a-w,a+rX', app]);
    chmodSync(directory, 0o755);
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    if (nobody.uid !== undefined) chownSync(data, nobody.uid, nobody.gid);
    const image = Object.fromEntries(
      Array.from(
        texts(final, 'ENV')
          .join(' ')
          .matchAll(/(\w+)=(\S+)/g),
        ([, name, value]) => [name, value],
      ),
    );
    const environment = {
      ...image,
      PATH: dirname(process.execPath),
      GATEHOUSE_PORT: String(await freePort()),
      GATEHOUSE_DATA: data,
      GATEHOUSE_NAMESPACES: join(directory, 'namespaces'),
      GATEHOUSE_OPENAPI_IMPORTS: join(directory, 'imports'),
    };
    const [entry = '', script = ''] = JSON.parse(texts(final, 'ENTRYPOINT')[0] ?? '[]') as string[];
    const [command = ''] = JSON.parse(texts(final, 'CMD')[0] ?? '[]') as string[];
    const start = (extra: Record<string, string>) =>
      spawn(entry, [join(directory, script), command], {
        cwd: app,
        env: { ...environment, ...extra },
        ...nobody,
        stdio: ['ignore', 'pipe', 'pipe'],
      });

    const refused = start({});
    const [refusal] = await once(refused.stderr, 'data');
    expect(String(refusal)).toContain('GATEHOUSE_ADMIN_KEY must be set');
    expect((await once(refused, 'exit'))[0]).toBe(2);

    running = start({ GATEHOUSE_ADMIN_KEY: 'a-key-for-this-test-only-0123456789' });
    const check = JSON.parse(/CMD (\[.*\])$/.exec(texts(final, 'HEALTHCHECK')[0] ?? '')?.[1] ?? '[]') as [string, ...string[]];
    const [program, ...args] = check;
    const isHealthy = () => spawnSync(program, args, { env: environment }).status === 0;
    await expect.poll(isHealthy, { timeout: 20_000, interval: 200 }).toBe(true);

    running.kill('SIGTERM');
    expect((await once(running, 'exit'))[0]).toBe(0);
    expect(isHealthy()).toBe(false);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
