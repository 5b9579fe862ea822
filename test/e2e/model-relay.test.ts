import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { type JournalLine, readJournal } from '../support/read-journal.ts';
import { until } from '../support/until.ts';
import {
  chatEvent,
  chatReply,
  chatStream,
  doneEvent,
  type FarEnd,
  openStream,
  startFarEnd,
  usageEvent,
} from '../upstreams/model/far-end.ts';

let provider: FarEnd;
let gateway: Gateway;

beforeAll(async () => {
  provider = await startFarEnd();
  const target = `{ provider: openai-compatible, model: theirs, url: "${provider.url}", price: { input: 1, output: 2 } }`;
  gateway = await startGateway([
    [
      'namespace: models',
      'policy: { limits: [{ per: capability, tpm: 900, match: models/small }] }',
      'upstreams:',
      `  fast: { kind: model, targets: [${target}] }`,
      `  counted: { kind: model, targets: [${target}] }`,
      `  small: { kind: model, targets: [${target}] }`,
      '',
    ].join('\n'),
  ]);
});
afterAll(async () => {
  await gateway.stop();
  await provider.close();
});
beforeEach(() => provider.does((_heard, response) => void response.writeHead(500).end()));

function ask(body: object, signal?: AbortSignal): Promise<Response> {
  const init = { model: 'models/fast', messages: [{ role: 'user', content: 'Well?' }], ...body };
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(init),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The bytes in pieces that end anywhere. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, at) => bytes.subarray(places[at], end));
}

interface Outcome extends JournalLine {
  readonly tokensIn?: number;
  readonly tokensOut?: number;
  readonly isEstimated?: boolean;
  readonly nanoUsd?: number;
}

/** Of the calls of one model; those of others may come late. */
function outcomes(): readonly Outcome[] {
  const lines: readonly Outcome[] = readJournal(gateway.dataDir);
  const calls = lines.filter(({ capability }) => capability === 'models/counted').map(({ call }) => call);
  return lines.filter(({ kind, call }) => kind === 'outcome' && calls.includes(call));
}

/** The outcome of the only call that `run` makes. */
async function outcomeOf(run: () => Promise<unknown>): Promise<Outcome> {
  const before = outcomes().length;
  await run();
  await until('the outcome is on record', () => outcomes().length > before);
  return outcomes()[before]!;
}

describe('bytes', () => {
  const events = [...chatStream(['Hello', ', Zoë ', '\u2028{"usage":{}}', '"content":"x"\n\n']).slice(0, -2)];
  const unknown = ': a comment\n\n';
  const said = [events[0]!, unknown, ...events.slice(1)];

  test('of a stream reach its client as they came, however they were cut, without the usage that it did not ask for', async () => {
    const sent = Buffer.from([...said, usageEvent, doneEvent].join(''));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 12 }), async (cuts) => {
        provider.does(async (_heard, response) => {
          openStream(response);
          for (const piece of pieces(sent, cuts)) {
            response.write(piece);
            await sleep(1);
          }
          response.end();
        });
        const response = await ask({ stream: true });
        expect(Buffer.from(await response.arrayBuffer()).toString()).toBe([...said, doneEvent].join(''));
      }),
      { numRuns: 15 },
    );
  });

  test('of the usage reach whoever asked for it', async () => {
    provider.does((_heard, response) => void openStream(response).end([...said, usageEvent, doneEvent].join('')));
    const response = await ask({ stream: true, stream_options: { include_usage: true } });
    expect(await response.text()).toBe([...said, usageEvent, doneEvent].join(''));
  });

  test('of a whole answer reach its client as they came', async () => {
    const sent = `\n${JSON.stringify({ ...chatReply('Zoë \u2028 "x"'), unknown: [1e-7, 12.0] }, null, 3)}  \n`.replace(
      '1e-7',
      '0.10E-6',
    );
    provider.does((_heard, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(sent));
    expect(await (await ask({})).text()).toBe(sent);
  });

  test('of a stream that breaks off are followed by an error, and never by what ends a good one', async () => {
    provider.does(async (_heard, response) => {
      openStream(response).write(events.slice(0, 2).join(''));
      await sleep(20);
      response.destroy();
    });
    const text = await (await ask({ stream: true })).text();
    expect(text.startsWith(events.slice(0, 2).join(''))).toBe(true);
    expect(text.slice(events.slice(0, 2).join('').length)).toMatch(/^data: \{"error":/);
    expect(text).not.toContain('[DONE]');
  });

  test('of one event are passed on before the next is sent', async () => {
    const proceed = Promise.withResolvers<void>();
    provider.does(async (_heard, response) => {
      openStream(response).write(events[0]);
      await proceed.promise;
      response.end([...events.slice(1), doneEvent].join(''));
    });
    const reader = (await ask({ stream: true })).body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe(events[0]);
    proceed.resolve();
    while (!(await reader.read()).done);
  });
});

describe('what a call used up', () => {
  const counted = { model: 'models/counted' };

  test('is what its provider says, of a whole answer and of a stream', async () => {
    provider.does(
      (_heard, response) => void response.setHeader('content-type', 'application/json').end(JSON.stringify(chatReply('Yes.'))),
    );
    const told = { outcome: 'done', tokensIn: 7, tokensOut: 3, nanoUsd: 7_000 + 6_000 };
    expect(await outcomeOf(() => ask(counted).then((response) => response.text()))).toMatchObject(told);
    provider.does((_heard, response) => void openStream(response).end(chatStream(['Yes', '.']).join('')));
    const outcome = await outcomeOf(() => ask({ ...counted, stream: true }).then((response) => response.text()));
    expect(outcome).toMatchObject(told);
    expect(outcome.isEstimated).toBeUndefined();
  });

  test('is estimated by what was said, where the client left in the middle', async () => {
    provider.does((_heard, response) => void openStream(response).write(chatEvent({ content: 'word '.repeat(100) })));
    const leave = new AbortController();
    const outcome = await outcomeOf(async () => {
      const response = await ask({ ...counted, stream: true }, leave.signal);
      await response.body!.getReader().read();
      leave.abort();
    });
    expect(outcome).toMatchObject({ outcome: 'failed', isEstimated: true });
    expect(outcome.tokensOut).toBeGreaterThan(60);
  });

  test('takes the place of what was reserved: others may call as soon as it is known', async () => {
    const small = { model: 'models/small', max_tokens: 600 };
    const proceed = Promise.withResolvers<void>();
    provider.does(async (_heard, response) => {
      openStream(response).write(chatEvent({ content: 'Yes' }));
      await proceed.promise;
      response.end([chatEvent({}, 'stop'), usageEvent, doneEvent].join(''));
    });
    const first = await ask({ ...small, stream: true });
    const refused = await ask({ ...small, stream: true });
    expect(refused.status).toBe(429);
    proceed.resolve();
    await Promise.all([first.text(), refused.text()]);
    const third = await ask({ ...small, stream: true });
    expect(third.status).toBe(200);
    await third.text();
  });
});
