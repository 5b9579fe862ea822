import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { newestVersion } from '../../src/store/migrations/migrations.ts';
import { open, temporaryDataDir } from './store-setup.ts';

const firstTables = ['keys', 'sealing_keys', 'sessions', 'upstream_memory'];

it('a database of the first release gets the newest tables and keeps what it has', async () => {
  const { dataDir, remove } = temporaryDataDir();
  onTestFinished(remove);
  const key = { id: 'a', hash: 'h', createdAtMs: 1 };
  const store = await open({ dataDir });
  await store.keys.create(key);
  await store.close();
  const database = new DatabaseSync(join(dataDir, 'gatehouse.db'));
  const tables = database.prepare("select name from sqlite_master where type = 'table'").all();
  for (const { name } of tables) if (!firstTables.includes(String(name))) database.exec(`drop table ${name}`);
  database.exec('pragma user_version = 1');
  database.close();

  const upgraded = await open({ dataDir });
  onTestFinished(() => upgraded.close());
  expect(await upgraded.keys.list()).toEqual([key]);
  expect(await upgraded.rollUps.query({ fromMs: 0, toMs: 1 })).toEqual([]);
  const after = new DatabaseSync(join(dataDir, 'gatehouse.db'), { readOnly: true });
  expect(after.prepare('pragma user_version').get()).toEqual({ user_version: newestVersion });
  after.close();
});
