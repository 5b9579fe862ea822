import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { checkNetwork, clientAddress, compileNetworks, isPrivateAddress } from '../../src/policy/network.ts';

const octets = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }).map((parts) => parts.join('.'));
const sixteen = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 16, maxLength: 16 })
  .map((bytes) => ipaddr.fromByteArray(bytes).toString());

function bits(ip: string): string {
  return ipaddr
    .process(ip)
    .toByteArray()
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('');
}

function networkOf(ip: string, prefix: number): string {
  const kept = bits(ip).slice(0, prefix).padEnd(bits(ip).length, '0');
  const bytes = Array.from({ length: kept.length / 8 }, (_, index) => Number.parseInt(kept.slice(index * 8, index * 8 + 8), 2));
  return ipaddr.fromByteArray(bytes).toString();
}

describe('networks', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', '11.0.0.1'],
    ['192.0.2.7', '192.0.2.7', '192.0.2.8'],
    ['0.0.0.0/0', '203.0.113.9', '2001:db8::1'],
    ['128.0.0.0/1', '255.255.255.255', '127.255.255.255'],
    ['2001:db8::/32', '2001:db8:ffff::1', '2001:db9::1'],
    ['::/0', '2001:db8::1', '203.0.113.9'],
    ['::1', '0:0:0:0:0:0:0:1', '::2'],
    ['fe80::/10', 'fe80::1%eth0', 'fec0::1'],
    ['::ffff:10.0.0.0/104', '10.1.2.3', '11.1.2.3'],
    ['10.0.0.0/8', '::ffff:10.1.2.3', '::ffff:11.1.2.3'],
    ['10.0.0.0/8', '::ffff:a01:203', '::ffff:b01:203'],
    ['10.0.0.0/8', '0:0:0:0:0:FFFF:10.1.2.3', '::10.1.2.3'],
  ])('%s holds %s and does not hold %s', (entry, inside, outside) => {
    const isIn = compileNetworks([entry]);
    expect([isIn(inside), isIn(outside)]).toEqual([true, false]);
  });

  test('an empty list is nobody, a list of everything everybody', () => {
    const addresses = ['127.0.0.1', '::1', '203.0.113.9', ''];
    expect(addresses.map(compileNetworks([]))).toEqual([false, false, false, false]);
    expect(addresses.map(compileNetworks(['0.0.0.0/0', '::/0']))).toEqual([true, true, true, false]);
  });

  test.each([
    '',
    '10.0.0',
    '010.0.0.1',
    '10.0.0.01',
    '0x0a.0.0.1',
    '167772161',
    '10.0.0.256',
    '10.0.0.1.',
    '10.0.0.1 ',
    '1e1.0.0.1',
    ':::',
    '10.0.0.1/8',
  ])('text that is not an address is in no network: "%s"', (text) =>
    expect(compileNetworks(['0.0.0.0/0', '::/0'])(text)).toBe(false),
  );

  test('a range holds exactly the addresses that share its first bits', () => {
    const cases = fc.oneof(
      fc.record({ network: octets, prefix: fc.integer({ min: 0, max: 32 }), other: octets }),
      fc.record({ network: sixteen, prefix: fc.integer({ min: 0, max: 128 }), other: sixteen }),
    );
    fc.assert(
      fc.property(cases, fc.integer({ min: 0, max: 128 }), ({ network, prefix, other }, shared) => {
        // Half of the addresses agree with the range for a while, or none would ever be inside.
        const length = bits(network).length;
        const mixed = bits(network).slice(0, Math.min(shared, length)) + bits(other).slice(Math.min(shared, length));
        fc.pre(bits(other).length === length);
        const ip = networkOf(
          ipaddr.fromByteArray((mixed.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))).toString(),
          length,
        );
        const isInside = mixed.slice(0, prefix) === bits(network).slice(0, prefix);
        expect(compileNetworks([`${networkOf(network, prefix)}/${prefix}`])(ip)).toBe(isInside);
      }),
    );
  });

  test.each([
    ['10.0.0.1/8', 'write "10.0.0.0/8"'],
    ['2001:db8::1/32', 'write "2001:db8::/32"'],
    ['10.0.0.0/33', 'from 0 to 32'],
    ['10.0.0.0/', 'from 0 to 32'],
    ['10.0.0.0/8/8', 'neither an address nor a range'],
    ['10.0.0', 'neither'],
    ['010.0.0.0/8', 'neither'],
    ['localhost', 'neither'],
    ['fe80::1%eth0', 'neither'],
    ['::ffff:10.0.0.0/90', 'mixes'],
    [' 10.0.0.0/8', 'neither'],
    [`${'9'.repeat(5000)}`, 'neither'],
  ])('the entry %.40s is refused with a sentence; a right one is not', (entry, words) => {
    expect(checkNetwork(entry)).toContain(words);
    expect(checkNetwork(entry)?.length).toBeLessThan(250);
    expect(() => compileNetworks(['10.0.0.0/8', entry])).toThrow(expect.objectContaining({ code: 'bad_configuration' }));
    expect(checkNetwork('10.0.0.0/8')).toBeUndefined();
  });

  test('private is what belongs to nobody outside', () => {
    const inside = [
      '10.1.2.3',
      '172.16.0.1',
      '192.168.1.1',
      '127.0.0.1',
      '169.254.1.1',
      '::1',
      'fd00::1',
      'fe80::1%eth0',
      '::ffff:10.0.0.1',
    ];
    const outside = ['203.0.113.9', '8.8.8.8', '2001:4860::1', '100.64.0.1', '172.32.0.1', '', 'localhost'];
    expect([...inside, ...outside].filter(isPrivateAddress)).toEqual(inside);
  });
});

describe('the address of a client', () => {
  const nobody = compileNetworks([]);
  const proxies = compileNetworks(['10.0.0.0/8', '2001:db8::/32']);
  const from = (forwarded: string | string[], socket = '10.0.0.1', isTrusted = proxies) =>
    clientAddress(socket, { 'x-forwarded-for': forwarded } as never, isTrusted);

  test('is the socket where no proxy is trusted, whatever the headers say', () => {
    expect(from('203.0.113.9', '10.0.0.1', nobody)).toBe('10.0.0.1');
    expect(from('203.0.113.9', '10.0.0.1', proxies)).toBe('203.0.113.9');
  });

  test('is the socket where the socket is no trusted proxy', () => {
    expect(from('203.0.113.9', '198.51.100.1')).toBe('198.51.100.1');
  });

  test('is not what a client wrote in front of what a trusted proxy appended', () => {
    expect(from('127.0.0.1, 203.0.113.9')).toBe('203.0.113.9');
    expect(from('10.0.0.5, 203.0.113.9, 10.0.0.2')).toBe('203.0.113.9');
    expect(from('203.0.113.9, 10.0.0.2')).toBe('203.0.113.9');
  });

  test('is the furthest hop where all are trusted', () => {
    expect(from('10.0.0.7, 10.0.0.2')).toBe('10.0.0.7');
    expect(clientAddress('10.0.0.1', {}, proxies)).toBe('10.0.0.1');
  });

  test('is the last certain hop where the chain holds anything that is no address', () => {
    for (const noise of ['unknown', '', ' ', '127.1', '10.0.0.9%eth0x,', '_hidden', '1.2.3.4:5:6', 'x'.repeat(100_000)])
      expect(from(`203.0.113.9, ${noise}, 10.0.0.2`)).toBe('10.0.0.2');
  });

  test('is read with the ports, brackets and mapped forms that proxies write', () => {
    expect(from('203.0.113.9:4711')).toBe('203.0.113.9');
    expect(from('[2001:0DB9::1]:4711')).toBe('2001:db9::1');
    expect(from('[2001:db9::1]')).toBe('2001:db9::1');
    expect(from('::ffff:203.0.113.9', '::ffff:10.0.0.1')).toBe('203.0.113.9');
    expect(clientAddress('::ffff:203.0.113.9', {}, nobody)).toBe('203.0.113.9');
    expect(clientAddress('fe80::1%eth0', {}, nobody)).toBe('fe80::1');
  });

  test('is empty when the socket is gone, and then nothing is trusted', () => {
    expect(clientAddress(undefined, { 'x-forwarded-for': '10.0.0.1' }, compileNetworks(['0.0.0.0/0', '::/0']))).toBe('');
  });

  test('is not looked for further than a chain can be long', () => {
    expect(from(`203.0.113.9,${Array(40).fill('10.0.0.2').join(',')}`)).toBe('10.0.0.2');
    expect(from(`203.0.113.9,${Array(20).fill('10.0.0.2').join(',')}`)).toBe('203.0.113.9');
  });

  test('cannot be chosen by what the client sends, for any header', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), octets, (sent, real) => {
        fc.pre(!proxies(real));
        expect(from(`${sent},${real}`)).toBe(real);
        expect(from(`${sent},${real}, 10.9.9.9`)).toBe(real);
      }),
    );
  });
});
