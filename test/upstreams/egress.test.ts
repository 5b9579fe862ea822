import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEgressGuard, type EgressGuard } from '../../src/upstreams/egress.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

type Rules = Parameters<typeof createEgressGuard>[0];

let canary: TestServer;
let hits = 0;
let guard: EgressGuard | undefined;
beforeEach(async () => {
  hits = 0;
  canary = await listenOn(
    createServer((_request, response) => {
      hits++;
      response.end('reached');
    }),
  );
});
afterEach(async () => {
  await guard?.close();
  await canary.close();
});

/** What came of a request: the status, `refused` before any connection, or the code of the error. */
async function visit(address: string, rules: Rules = [], named?: ReadonlySet<string>): Promise<number | string> {
  guard = createEgressGuard(rules);
  const url = new URL(address);
  const dispatcher = await guard.dispatcherFor(url, named);
  if (dispatcher === undefined) return 'refused';
  return new Promise((resolve) => {
    let status = 0;
    dispatcher.dispatch(
      { origin: url.origin, path: url.pathname, method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData() {},
        onResponseEnd: () => resolve(status),
        onResponseError: (_controller, error) => resolve((error as NodeJS.ErrnoException).code ?? error.message),
      },
    );
  });
}

const range = (address: string, prefix: number, port?: number): Rules[number] => ({
  kind: 'range',
  address,
  prefix,
  family: address.includes(':') ? 'ipv6' : 'ipv4',
  port,
});
const host = (name: string, port?: number): Rules[number] => ({ kind: 'host', host: name, port });

describe('SS-01, SS-02: addresses that are not public', () => {
  test.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '①②⑦.⓪.⓪.①',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '198.18.0.1',
    '[::1]',
    '[::]',
    '[::127.0.0.1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fec0::1]',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '[ff02::1]',
    '[4000::1]',
    '[e000::1]',
    '[::fffe:7f00:1]',
    '[64:ff9b:1::7f00:1]',
  ])('%s is refused over https and http', async (address) => {
    expect(await visit(`https://${address}:${canary.port}/`)).toBe('refused');
    await guard?.close();
    expect(await visit(`http://${address}:${canary.port}/`)).toBe('refused');
    expect(hits).toBe(0);
  });

  test('a name that leads to one is refused when it is looked up', async () => {
    expect(await visit(`https://localhost:${canary.port}/`)).toBe('EGRESS_REFUSED');
    expect(hits).toBe(0);
  });
});

describe('what the operator allows', () => {
  test('is reached: an address, a block, a name', async () => {
    for (const rules of [[range('127.0.0.1', 32)], [range('127.0.0.0', 8, canary.port)], [range('::ffff:127.0.0.0', 104)]]) {
      expect(await visit(`http://127.0.0.1:${canary.port}/`, rules)).toBe(200);
      await guard?.close();
    }
    expect(await visit(`http://localhost:${canary.port}/`, [host('localhost', canary.port)])).toBe(200);
    expect(hits).toBe(4);
  });

  test.each<[string, (port: number) => string, (port: number) => Rules]>([
    ['another port', (port) => `http://127.0.0.1:${port}/`, (port) => [range('127.0.0.1', 32, port + 1)]],
    ['the address of an allowed name', (port) => `http://127.0.0.1:${port}/`, (port) => [host('localhost', port)]],
    ['a name below an allowed name', (port) => `http://a.localhost:${port}/`, (port) => [host('localhost', port)]],
    ['a neighbour of an allowed address', (port) => `http://127.0.0.2:${port}/`, () => [range('127.0.0.1', 32)]],
    ['plain http to a public address', () => 'http://192.0.2.1/', () => []],
    ['another scheme', () => 'ftp://127.0.0.1/', () => [range('127.0.0.1', 32)]],
  ])('%s is not', async (_name, address, rules) => {
    expect(await visit(address(canary.port), rules(canary.port))).toBe('refused');
    expect(hits).toBe(0);
  });
});

describe('an origin that the operator wrote down', () => {
  test('is reached whatever its address, and no other one with it', async () => {
    const named = new Set([`http://127.0.0.1:${canary.port}`]);
    expect(await visit(`http://127.0.0.1:${canary.port}/`, [], named)).toBe(200);
    await guard?.close();
    expect(await visit(`http://localhost:${canary.port}/`, [], named)).toBe('refused');
    await guard?.close();
    expect(await visit(`http://127.0.0.1:${canary.port + 1}/`, [], named)).toBe('refused');
    expect(hits).toBe(1);
  });

  test('is none where it is not http', async () => {
    expect(await visit('file:///etc/passwd', [], new Set(['null']))).toBe('refused');
  });
});

describe('SS-03: a name that leads somewhere else every time', () => {
  const good = '127.0.0.2';
  type Addresses = { address: string; family: number }[];

  /** Connects again and again to a name whose every answer is this one's next; resolves with the outcomes and who was connected to. */
  async function connectOften(times: number, answers: (n: number) => Addresses) {
    const seen: string[] = [];
    const server = createTcpServer((socket) => {
      seen.push(socket.localAddress ?? '');
      socket.on('error', () => {}).end();
    });
    server.listen(0, '0.0.0.0');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    let asked = 0;
    guard = createEgressGuard([range(good, 32)], (_name, _options, callback) => callback(null, answers(asked++)));
    const { connect } = guard;
    const outcomes: string[] = [];
    for (let n = 0; n < times; n++) {
      const options = { hostname: 'rebind.example', host: `rebind.example:${port}`, protocol: 'https:', port: String(port) };
      await new Promise<void>((resolve) => {
        connect(options, (...[error]) => {
          outcomes.push((error as NodeJS.ErrnoException | null)?.code ?? 'connected');
          resolve();
        });
      });
    }
    server.close();
    return { seen, outcomes };
  }

  test('is connected to at vetted addresses alone', async () => {
    const answers = (n: number) => [{ address: n % 2 === 0 ? good : '127.0.0.1', family: 4 }];
    const { seen, outcomes } = await connectOften(1000, answers);
    expect(new Set(seen)).toEqual(new Set([good]));
    expect(seen.length).toBe(500);
    expect(outcomes.filter((code) => code === 'EGRESS_REFUSED')).toHaveLength(500);
  });

  test('one bad address among good ones spoils the answer', async () => {
    const mixed = [
      { address: good, family: 4 },
      { address: '::1', family: 6 },
    ];
    const { seen, outcomes } = await connectOften(10, () => mixed);
    expect([seen, new Set(outcomes)]).toEqual([[], new Set(['EGRESS_REFUSED'])]);
  });

  test('no answer and a bad answer look the same', async () => {
    guard = createEgressGuard([], (_name, _options, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }), []),
    );
    const { connect } = guard;
    const error = await new Promise<Error | null>((resolve) => {
      connect({ hostname: 'no.example', protocol: 'https:', port: '443' }, (...[failed]) => resolve(failed));
    });
    expect(error).toMatchObject({ code: 'EGRESS_REFUSED' });
  });
});
