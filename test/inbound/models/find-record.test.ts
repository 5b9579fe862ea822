import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findAction, runAction } from '../../../src/cli/run-action.ts';
import { type ModelGateway, openModelGateway, type Place, startPlace } from '../../support/model-gateway.ts';
import { fails, says } from '../../support/model-providers/script.ts';
import { until } from '../../support/until.ts';

// Somebody asks an operator about one answer, and has nothing but what the answer said of itself.

let openai: Place;
let gateway: ModelGateway;
beforeAll(async () => {
  openai = await startPlace('openai');
  gateway = await openModelGateway({
    models: { fast: { targets: [openai.target] }, late: { targets: [{ ...openai.target, key: `\${secret:NOWHERE}` }] } },
    places: [openai],
    namespaces: {
      gone: 'namespace: gone\nupstreams:\n  box: { kind: mcp, url: "http://127.0.0.1:9/mcp" }\n',
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await openai?.standIn.close();
});

const ask = (body: object) =>
  gateway.post('/v1/chat/completions', { model: 'models/fast', messages: [{ role: 'user', content: 'Hi' }], ...body });
const idOf = (response: Response) => response.headers.get('x-request-id') ?? '';
const found = (query: string, key?: string) =>
  until(`a record of ${query}`, async () => {
    const { calls } = await gateway.ok(`GET /audit?${query}`, undefined, key);
    return calls.length > 0 && calls[0].outcome !== null && calls;
  });

describe('the record of an answer at /v1', () => {
  test('is found by its x-request-id: of one that went well, whole or in parts, with whatever trace its client sent', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    for (const stream of [false, true]) {
      openai.standIn.next(says('Hello.'));
      const response = await gateway.post(
        '/v1/chat/completions',
        JSON.stringify({ model: 'models/fast', stream, messages: [{ role: 'user', content: 'Hi' }] }),
        undefined,
        {
          headers: { 'content-type': 'application/json', authorization: `Bearer ${gateway.appKey}`, traceparent },
        },
      );
      await response.text();
      const calls = await found(`call=${idOf(response)}`);
      expect(calls).toMatchObject([
        {
          call: idOf(response),
          caller: 'key:app',
          capability: 'models/fast',
          outcome: 'done',
          trace: '4bf92f3577b34da6a3ce929d0e0e4736',
        },
      ]);
      expect(calls[0].record).toMatchObject({ call: idOf(response), kind: 'intent' });
      expect(calls[0].result).toMatchObject({ call: idOf(response), kind: 'outcome' });
    }
  });

  test('is found of one that was refused or failed, by the id that its official client tells', async () => {
    openai.standIn.next(fails(500));
    const failed = await gateway
      .openai()
      .chat.completions.create({ model: 'models/fast', messages: [{ role: 'user', content: 'Hi' }] })
      .catch((error) => error);
    expect(await found(`call=${failed.requestID}`)).toMatchObject([{ capability: 'models/fast', outcome: 'failed' }]);
    for (const [model, code] of [
      ['models/none', 'unknown_model'],
      ['models/late', 'model_not_ready'],
    ]) {
      const response = await ask({ model });
      expect(await found(`call=${idOf(response)}`)).toMatchObject([{ code }]);
    }
  });

  test('is found from the command line, and by whoever made the call; not by others', async () => {
    const [mine, theirs] = await Promise.all([
      gateway.person('ann', [{ role: 'developer' }]),
      gateway.person('bob', [{ role: 'developer' }]),
    ]);
    openai.standIn.next(says('Hello.'));
    const response = await gateway.post(
      '/v1/chat/completions',
      { model: 'models/fast', messages: [{ role: 'user', content: 'Hi' }] },
      mine,
    );
    const id = idOf(response);
    expect(await found(`call=${id}`, mine)).toHaveLength(1);
    expect((await gateway.ok(`GET /audit?call=${id}`, undefined, theirs)).calls).toEqual([]);
    let out = '';
    const command = findAction('search-audit');
    if (command === undefined) throw new Error('there is no such command');
    const code = await runAction(command, ['--call', id, '--url', gateway.url], {
      environment: { GATEHOUSE_KEY: gateway.key },
      directory: '.',
      write: (text) => {
        out += text;
      },
      complain: () => {},
      columns: 160,
    });
    expect([code, out]).toEqual([0, expect.stringContaining('models/fast')]);
    expect(out.trim().split('\n')).toHaveLength(2);
    expect((await gateway.api('GET /audit?call=nothing')).status).toBe(400);
  });
});

describe('the record of a failed call in MCP', () => {
  test.each(['modern', 'legacy'])('is found by the trace that its error names (%s)', async (era) => {
    const call = { name: 'models__late', arguments: { prompt: 'Hi' } };
    const result =
      era === 'modern' ? (await gateway.mcp('', 'tools/call', call, gateway.appKey)).body.result : await legacyCall(call);
    const { code, trace } = result._meta['dev.gatehouse/error'];
    expect([code, trace]).toEqual(['model_not_ready', expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(await found(`trace=${trace}`)).toMatchObject([{ capability: 'models/late', code: 'model_not_ready' }]);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: what a gateway answered; the test looks into it.
async function legacyCall(params: object): Promise<any> {
  const send = (message: object, session?: string) =>
    fetch(`${gateway.url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${gateway.appKey}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(session === undefined ? {} : { 'mcp-session-id': session }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    });
  const clientInfo = { name: 'test', version: '1' };
  const hello = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
  const begun = await send({ id: 1, method: 'initialize', params: hello });
  await begun.text();
  const session = begun.headers.get('mcp-session-id') ?? '';
  await send({ method: 'notifications/initialized' }, session);
  const text = await (await send({ id: 2, method: 'tools/call', params }, session)).text();
  return JSON.parse(text.startsWith('{') ? text : (text.split('data: ').at(-1) ?? '')).result;
}
