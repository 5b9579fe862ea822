/** Portkey's open gateway, the one for models that npm has: installed for the benchmark alone, beside its results. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const directory = join(import.meta.dirname, 'results', 'portkey');
const program = join(directory, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js');
const installWithinMs = 120_000;

const packages = {
  dependencies: { '@portkey-ai/gateway': '1.15.2' },
  // What newer ones make of its streams is not what its makers meant.
  overrides: { hono: '4.9.7', '@hono/node-server': '1.13.5' },
};

/** Once; rejects where npm cannot get it. */
export async function installRival(say: (text: string) => void): Promise<void> {
  const done = join(directory, 'installed.json');
  if (existsSync(done) && existsSync(program)) return;
  say('models: installing Portkey (25 MB)');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, ...packages }));
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--fetch-retries=1'];
  const isWindows = process.platform === 'win32';
  const npm = spawn('npm', args, { cwd: directory, stdio: 'ignore', shell: isWindows, timeout: installWithinMs });
  const code = await new Promise((resolve) => npm.once('exit', resolve).once('error', resolve));
  if (code !== 0) throw new Error('npm could not install it');
  writeFileSync(done, JSON.stringify(packages));
}

export function rivalCommand(port: number): readonly string[] {
  return [process.execPath, program, `--port=${port}`, '--headless'];
}

/** How its clients say where a request goes. */
export function rivalHeaders(providerPort: number): readonly string[] {
  return ['x-portkey-provider: openai', `x-portkey-custom-host: http://127.0.0.1:${providerPort}/v1`];
}
