import { describe, expect, onTestFinished, test } from 'vitest';
import { SqliteConnection } from '../../src/store/sqlite/connection.ts';
import { databasePath, makeDatabase } from '../../src/store/sqlite/database-file.ts';
import { SqliteReader } from '../../src/store/sqlite/reader.ts';
import { temporaryDataDir } from './store-setup.ts';

function open(limits: ConstructorParameters<typeof SqliteReader>[1] = {}) {
  const { dataDir, remove } = temporaryDataDir();
  makeDatabase(dataDir);
  const writer = new SqliteConnection(databasePath(dataDir));
  const reader = new SqliteReader(writer.path, limits);
  onTestFinished(async () => {
    await reader.close();
    writer.close();
    remove();
  });
  return { reader, writer };
}

const counting = 'with recursive n (i) as (select 1 union all select i + 1 from n where i < ?) select count(*) as many from n';

describe('searches of a store on SQLite', () => {
  test('leave the event loop to others while they run', async () => {
    const { reader } = open();
    await reader.all('select 1', []);
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    const rows = await reader.all(counting, [2_000_000]);
    clearInterval(ticking);
    expect(rows).toEqual([{ many: 2_000_000 }]);
    expect(turns).toBeGreaterThan(10);
  });

  test('see what was committed before they began, under the names of its columns', async () => {
    const { reader, writer } = open();
    for (const hash of ['a', 'b']) {
      writer.run('insert into definitions (hash, body, kept_at_ms) values (?, ?, ?)', [hash, '{}', 1]);
      const rows = await reader.all('select hash, kept_at_ms as "keptAtMs" from definitions order by hash', []);
      expect(rows.at(-1)).toEqual({ hash, keptAtMs: 1 });
    }
  });

  test('that find much give all of it, in order', async () => {
    const { reader } = open();
    const many = 'with recursive n (i) as (select 1 union all select i + 1 from n where i < ?) select i from n';
    for (const count of [999, 1000, 1001, 5500]) {
      const rows = await reader.all(many, [count]);
      expect(rows.map(({ i }) => i)).toEqual(Array.from({ length: count }, (_, at) => at + 1));
    }
  });

  test('cannot write, and what fails fails alone', async () => {
    const { reader } = open();
    const [write, wrong, right] = await Promise.allSettled([
      reader.all("delete from definitions where hash = 'a'", []),
      reader.all('select absent', []),
      reader.all('select 1 as one', []),
    ]);
    expect(write).toMatchObject({ reason: { code: 'internal', message: expect.stringContaining('read-only') } });
    expect(wrong).toMatchObject({ reason: { message: expect.stringContaining('no such column') } });
    expect(right).toMatchObject({ value: [{ one: 1 }] });
  });

  test('that are too many are told to come back; fewer are answered', async () => {
    const { reader } = open({ waiting: 2 });
    const asked = await Promise.allSettled([1, 2, 3].map((n) => reader.all('select ? as n', [n])));
    expect(asked).toMatchObject([
      { value: [{ n: 1 }] },
      { value: [{ n: 2 }] },
      { reason: { code: 'store_unavailable', retryAfterMs: 5_000 } },
    ]);
    expect(await reader.all('select 3 as n', [])).toEqual([{ n: 3 }]);
  });

  test('have a thread again after it has ended for want of work', async () => {
    const { reader } = open({ idleMs: 0 });
    for (const n of [1, 2, 3]) {
      expect(await reader.all('select ? as n', [n])).toEqual([{ n }]);
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
  });

  test('that run when the store is closed are given up at once, and later ones refused', async () => {
    const { reader } = open({ endMs: 10 });
    await reader.all('select 1', []);
    const running = reader.all(counting, [30_000_000]);
    const waiting = reader.all('select 1', []);
    const given = Promise.allSettled([running, waiting]);
    // By then the thread may be in the middle of the first, which cannot be interrupted.
    await new Promise((resolve) => setImmediate(resolve));
    await reader.close();
    for (const one of await given) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'store_unavailable' } });
    await expect(reader.all('select 1', [])).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});
