import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { quote } from '../../src/journal/record.ts';
import { verifyJournal } from '../../src/journal/verify-journal.ts';
import { linesOf, makeCall, open, recordsOf, segmentsOf, temporaryDirectory } from './journal-setup.ts';
import { done, facts, key } from './sample-call.ts';

describe('a call on record', () => {
  it('has an intent in the file when its upstream hears of it, and an outcome after', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const entry = journal.describe({ ...facts, argumentsDigest: journal.digest('{"id":7}'), approval: 'a1', member: 'kim' });
    await journal.intent(entry, true);
    const intent = recordsOf(dir).at(-1);
    expect(intent).toMatchObject({ ...facts, kind: 'intent', call: entry.call, approval: 'a1', member: 'kim' });
    journal.outcome(entry, { ...done, code: 'upstream_failed', contentRules: ['secrets/aws', 'injection'] });
    await journal.flush();
    expect(recordsOf(dir).at(-1)).toMatchObject({
      ...{ kind: 'outcome', call: entry.call, outcome: 'done', code: 'upstream_failed', ms: 12.35, bytesIn: 96, bytesOut: 412 },
      contentRules: ['secrets/aws', 'injection'],
    });
  });

  it('tells all of itself in its outcome when it was refused before its intent', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const denied = { ...facts, decision: 'deny', rule: 'no-deletes' } as const;
    journal.outcome(journal.describe(denied), { outcome: 'refused', code: 'not_found', ms: 0.1 });
    await journal.flush();
    expect(recordsOf(dir).at(-1)).toMatchObject({ ...denied, kind: 'outcome', outcome: 'refused', code: 'not_found' });
  });

  it('has an id that no other call has, over restarts too', async () => {
    const dir = temporaryDirectory();
    const ids: string[] = [];
    for (let run = 0; run < 3; run += 1) {
      const journal = await open({ dir });
      for (let n = 0; n < 5; n += 1) ids.push(await makeCall(journal));
      await journal.close();
    }
    expect(new Set(ids).size).toBe(15);
  });

  it('AU-04: shows a keyed digest of its arguments, not one that a guess could be compared with', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const other = await open({ dir: temporaryDirectory(), key: Buffer.alloc(32, 8) });
    expect(journal.digest('{"pin":"0000"}')).toBe(journal.digest('{"pin":"0000"}'));
    expect(journal.digest('{"pin":"0000"}')).not.toBe(journal.digest('{"pin":"0001"}'));
    expect(journal.digest('{"pin":"0000"}')).not.toBe(other.digest('{"pin":"0000"}'));
  });
});

describe('a record', () => {
  it('AU-04: is one line of printable ASCII, whatever a client puts into a name', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const nasty = [
      'a\nb',
      'a\r\n{"seq":1}',
      '\u001b[2J\u009b31m',
      '","prev":"x',
      'ü\u2028\u{1F600}\ud800',
      '\\',
      '\u0000',
      '\u007f',
    ];
    for (const capability of nasty) await makeCall(journal, { capability });
    await makeCall(journal, { capability: '\n'.repeat(1_000_000), principal: '"'.repeat(5_000) });
    await journal.flush();
    const lines = linesOf(dir);
    for (const line of lines) expect(line).toMatch(/^[ -~]{1,65535}$/);
    const intents = recordsOf(dir).filter(({ kind }) => kind === 'intent');
    expect(intents.slice(0, -1).map(({ capability }) => capability)).toEqual(nasty);
    expect(intents).toHaveLength(nasty.length + 1);
    expect((await verifyJournal(dir, { key })).isIntact).toBe(true);
  });

  it('AU-04: has whoever called whole: two people whose names begin alike are two', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const people = ['a', 'b'].map((end) => `oauth:https://login.example.com#${'%C3%A9'.repeat(79)}${end}`);
    for (const principal of people) await makeCall(journal, { principal, member: principal });
    await journal.flush();
    const intents = recordsOf(dir).filter(({ kind }) => kind === 'intent');
    expect(intents.map(({ principal }) => principal)).toEqual(people);
    expect(intents.map(({ member }) => String(member).length)).toEqual([256, 256]);
  });

  it('quotes every text so that it reads back the same, up to its limit', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { maxLength: 300 }), (units) => {
        const text = String.fromCharCode(...units);
        const quoted = quote(text);
        expect(quoted).toMatch(/^[ -~]*$/);
        const back = JSON.parse(quoted) as string;
        if (text.length <= 256) expect(back).toBe(text);
        else expect(back).toBe(`${text.slice(0, 253)}...`);
      }),
    );
  });

  it('is written with others of the same turn, in one write', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const before = linesOf(dir).length;
    await Promise.all(Array.from({ length: 100 }, () => makeCall(journal)));
    await journal.flush();
    const sealed = linesOf(dir).slice(before);
    expect(sealed).toHaveLength(200);
    expect(sealed.filter((line) => line.includes('"mac":')).length).toBeLessThan(10);
  });
});

describe('a change of the gateway itself', () => {
  it('is on record before it is made', async () => {
    const dir = temporaryDirectory();
    const journal = await open({ dir });
    const change = {
      principal: 'key:admin',
      door: 'http',
      action: 'disable-journal',
      object: 'settings/audit',
      before: 'x',
      after: 'y',
    };
    await journal.change(change);
    expect(recordsOf(dir).at(-1)).toMatchObject({ kind: 'change', ...change });
  });
});

describe('a journal', () => {
  it('is for its owner alone', async () => {
    const dir = join(temporaryDirectory(), 'journal');
    await open({ dir });
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    for (const path of segmentsOf(dir)) expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('goes on with its chain after a restart, and says when it stopped', async () => {
    const dir = temporaryDirectory();
    const first = await open({ dir });
    await makeCall(first);
    await first.close();
    const head = first.head();
    const second = await open({ dir });
    await makeCall(second);
    expect(second.head().chain).toBe(head.chain);
    await second.close();
    expect(recordsOf(dir).map(({ kind }) => kind)).toEqual([
      ...['segment', 'start', 'intent', 'outcome', 'stop'],
      ...['start', 'intent', 'outcome', 'stop'],
    ]);
    expect(await verifyJournal(dir, { key, heads: [head, second.head()] })).toMatchObject({ isIntact: true });
  });

  it('takes no more records after it was closed', async () => {
    const journal = await open({ dir: temporaryDirectory() });
    await journal.close();
    expect(journal.isWritable).toBe(false);
    await expect(journal.intent(journal.describe(facts), true)).rejects.toBeInstanceOf(GatewayError);
    journal.outcome(journal.describe(facts), done);
    await journal.close();
  });

  it('leaves records that another key made as they are, and begins a chain beside them', async () => {
    const dir = temporaryDirectory();
    const first = await open({ dir });
    await makeCall(first);
    await first.close();
    const before = linesOf(dir);
    const said: { level: string; message: string; fields: object }[] = [];
    const second = await open({ dir, key: Buffer.alloc(32, 9), said });
    await makeCall(second);
    await second.close();
    expect(linesOf(dir)).toEqual(before);
    expect(said.map(({ message }) => message)).toEqual([expect.stringContaining('another key')]);
    expect(recordsOf(dir, '2').length).toBeGreaterThan(2);
  });

  it('says what is wrong when its directory cannot be used', async () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    await expect(open({ dir: file })).rejects.toMatchObject({
      code: 'bad_configuration',
      message: expect.stringContaining(file),
    });
  });
});
