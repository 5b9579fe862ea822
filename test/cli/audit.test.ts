import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { verifyAudit } from '../../src/cli/audit.ts';
import { journalPath } from '../../src/journal/journal.ts';
import { makeCall, open, segmentsOf } from '../journal/journal-setup.ts';
import { open as openStore, temporaryDataDir } from '../store/store-setup.ts';

/** A data directory whose gateway made some calls and stopped. */
async function made() {
  const { dataDir, remove } = temporaryDataDir();
  onTestFinished(remove);
  const store = await openStore({ dataDir });
  const journal = await open({ dir: journalPath(dataDir), key: await store.sealing.get('journal'), index: store.audit });
  for (let n = 0; n < 10; n += 1) await makeCall(journal);
  await journal.close();
  await store.close();
  const head = journal.head();
  return { dataDir, head: `${head.chain}:${head.seq}:${head.hash}` };
}

async function verify(
  dataDir: string,
  options: { readonly heads?: string[]; readonly json?: boolean; readonly dir?: string } = {},
) {
  let text = '';
  const settings = { data: dataDir, databaseUrl: undefined, masterKey: undefined };
  const write = (more: string) => {
    text += more;
  };
  const code = await verifyAudit({ settings, json: false, ...options, write });
  return { code, text };
}

function change(dataDir: string, work: (text: string) => string): void {
  const path = segmentsOf(journalPath(dataDir)).at(-1)!;
  writeFileSync(path, work(readFileSync(path, 'latin1')), 'latin1');
}

describe('gatehouse audit verify', () => {
  it('says that a journal is intact, with its head, and exits 0', async () => {
    const { dataDir, head } = await made();
    const { code, text } = await verify(dataDir, { heads: [head] });
    expect(text).toContain('chain 1: 23 records from 1 on, 10 intents, 10 outcomes');
    expect(text).toContain(head);
    expect(text).not.toContain('Seals were not checked');
    expect(code).toBe(0);
    const json = await verify(dataDir, { json: true });
    expect(JSON.parse(json.text)).toMatchObject({ isIntact: true, hasCheckedSeals: true });
  });

  it('names file, line and record of the first that was edited, and exits 1', async () => {
    const { dataDir } = await made();
    change(dataDir, (text) => text.replace('"outcome":"done"', '"outcome":"gone"'));
    const { code, text } = await verify(dataDir);
    expect(text).toMatch(/edited: 1.00000001\.jsonl, line 4: Record 4 is not what was written/);
    expect(code).toBe(1);
    expect(JSON.parse((await verify(dataDir, { json: true })).text)).toMatchObject({ isIntact: false });
  });

  it('misses an end that was cut off, by what the index remembers or by a head from elsewhere', async () => {
    const { dataDir, head } = await made();
    change(dataDir, (text) => text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1));
    expect(await verify(dataDir)).toMatchObject({ code: 1, text: expect.stringContaining('cut: ') });
    rmSync(`${dataDir}/gatehouse.db`);
    expect(await verify(dataDir)).toMatchObject({ code: 0, text: expect.stringContaining('Seals were not checked') });
    expect(await verify(dataDir, { heads: [head] })).toMatchObject({ code: 1, text: expect.stringContaining('cut: ') });
  });

  it('names chains that the index knows and that a journal elsewhere has not, and leaves it to whoever reads that', async () => {
    const { dataDir, head } = await made();
    const copy = await made();
    const [chain, seq] = head.split(':');
    const { code, text } = await verify(dataDir, { dir: journalPath(copy.dataDir) });
    expect(text).toContain(
      `note chain ${chain} once reached record ${seq} and is not here: another machine has it, or it is lost`,
    );
    expect(code).toBe(1);
    expect((await verify(dataDir)).text).not.toContain('note');
  });

  it('exits 2 where there is nothing to check, and for a head that is none', async () => {
    const { dataDir } = await made();
    expect(await verify(dataDir, { heads: ['x'] })).toMatchObject({ code: 2, text: expect.stringContaining('is no head') });
    expect(await verify(dataDir, { dir: `${dataDir}/none` })).toMatchObject({
      code: 2,
      text: expect.stringContaining('no journal'),
    });
  });
});
