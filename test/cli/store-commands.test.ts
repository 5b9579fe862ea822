import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { backup } from '../../src/cli/backup.ts';
import { controlPath, listenForControl } from '../../src/cli/control.ts';
import { restore } from '../../src/cli/restore.ts';
import { rotateMasterKey } from '../../src/cli/rotate-master-key.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { open } from '../store/store-setup.ts';

let directory: string;
let said: string;
let warned: string;
const write = (text: string): void => {
  said += text;
};

const complain = (text: string): void => {
  warned += text;
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-commands-'));
  said = '';
  warned = '';
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string): string => join(directory, name);

function settings(data: string, environment: Record<string, string> = {}): Promise<Settings> {
  return readSettings({ flags: { data: at(data) }, environment, directory });
}

async function makeStore(data = 'data', masterKey?: Buffer): Promise<void> {
  const store = await open(masterKey === undefined ? { dataDir: at(data) } : { dataDir: at(data), masterKey });
  await store.keys.create({ id: 'admin', hash: 'h', createdAtMs: 1 });
  await store.close();
}

/** 32 random-looking bytes, as settings demand. */
function key(seed: number): Buffer {
  return Buffer.from(Array.from({ length: 32 }, (_, n) => (n * 37 + seed) % 251));
}

describe('gatehouse backup and restore', () => {
  it('say what was done, and what is left to do for a person', async () => {
    await makeStore('data', key(1));
    const given = { GATEHOUSE_MASTER_KEY: key(1).toString('base64') };
    expect(await backup({ settings: await settings('data', given), file: at('b'), json: false, write, complain })).toBe(0);
    expect(said).toMatch(
      /rows of .*gatehouse\.db are in .*\/b\.\nThe master key is not in it\. Keep GATEHOUSE_MASTER_KEY in another place/,
    );
    said = '';
    const target = await settings('new', given);
    expect(await restore({ settings: target, file: at('b'), replace: false, keys: 'keep', json: false, write, complain })).toBe(
      0,
    );
    expect(said).toMatch(
      /new\/gatehouse\.db has \d+ rows, as they were at 20.*Z\.\nKeys are valid as they were then: revoke again/,
    );
    said = '';
    expect(await restore({ settings: target, file: at('b'), replace: true, keys: 'revoke', json: true, write, complain })).toBe(
      0,
    );
    expect(JSON.parse(said)).toMatchObject({
      keys: 'revoke',
      revokedKeys: 1,
      replaced: expect.stringContaining('gatehouse.db.replaced-'),
    });
  });

  it('give the file a name with the time where none is given', async () => {
    await makeStore();
    const before = process.cwd();
    process.chdir(directory);
    onTestFinished(() => process.chdir(before));
    await backup({ settings: await settings('data'), file: undefined, json: true, write, complain });
    expect(readdirSync(directory)).toEqual(expect.arrayContaining([expect.stringMatching(/^gatehouse-20.*Z\.backup$/)]));
    expect(JSON.parse(said).file).toMatch(/Z\.backup$/);
  });

  it('restore nothing until somebody has decided about keys, nor while a gateway runs', async () => {
    await makeStore();
    await backup({ settings: await settings('data'), file: at('b'), json: false, write, complain });
    const options = { settings: await settings('data'), file: at('b'), replace: true, json: false, write, complain };
    const before = readFileSync(at('data/gatehouse.db'));
    for (const keys of [undefined, 'maybe']) {
      await expect(restore({ ...options, keys })).rejects.toThrow(
        /made at 20.*would be valid again.*--keys revoke.*--keys keep.*Nothing was changed/,
      );
    }
    const server = createServer((_, response) => response.end('{}'));
    onTestFinished(() => void server.close());
    await listenForControl(server, controlPath(at('data')));
    await expect(restore({ ...options, keys: 'keep' })).rejects.toThrow(/A gateway runs on .*Stop it/);
    expect(readFileSync(at('data/gatehouse.db'))).toEqual(before);
  });

  it('make no store where there is none', async () => {
    const options = { settings: await settings('none'), json: false, write, complain };
    await expect(backup({ ...options, file: at('b') })).rejects.toThrow(/There is no store in/);
    await expect(rotateMasterKey(options)).rejects.toThrow(/There is no store in/);
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('gatehouse rotate-master-key', () => {
  it('goes to the key that the environment gives, and says what is next', async () => {
    await makeStore('data', key(1));
    const environment = {
      GATEHOUSE_MASTER_KEY: key(2).toString('base64'),
      GATEHOUSE_PREVIOUS_MASTER_KEYS: key(1).toString('base64'),
    };
    expect(await rotateMasterKey({ settings: await settings('data', environment), json: false, write, complain })).toBe(0);
    expect(said).toMatch(/All 6 keys are sealed under the master key of version 2\. Take GATEHOUSE_PREVIOUS_MASTER_KEYS away/);
    await (await open({ dataDir: at('data'), masterKey: key(2) })).close();
  });

  it('makes a new key file where none is given', async () => {
    await makeStore();
    expect(await rotateMasterKey({ settings: await settings('data'), json: true, write, complain })).toBe(0);
    expect(JSON.parse(said)).toEqual({ version: 2, done: 6, total: 6 });
    expect(warned).toMatch(/^\d of 6 keys\n/);
    await (await open({ dataDir: at('data') })).close();
  });

  it('is refused for an older key without the one that takes its place', async () => {
    await makeStore();
    const environment = { GATEHOUSE_PREVIOUS_MASTER_KEYS: key(1).toString('base64') };
    await expect(
      rotateMasterKey({ settings: await settings('data', environment), json: false, write, complain }),
    ).rejects.toThrow(/is set without GATEHOUSE_MASTER_KEY/);
  });
});
