import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { Secret } from '../../src/secret.ts';
import type { Provider, ProviderCredential, ProviderTarget } from '../../src/upstreams/model/provider.ts';

export interface ProviderCase {
  /** Complete: as the provider usually is. */
  readonly target: ProviderTarget;
  /** Texts of the target that nobody may see. */
  readonly secrets: readonly string[];
  /** Where its own address is, without `url`; undefined where there is none. */
  readonly host: string | undefined;
  readonly canEmbed: boolean;
  readonly needsCredential: boolean;
}

const nowMs = Date.parse('2026-11-26T12:00:00Z');
const body = Buffer.from('{"a":"b"}');

/** What every way of reaching models promises. */
export function modelProviderContract(
  name: string,
  provider: Provider,
  { target, secrets, host, canEmbed, needsCredential }: ProviderCase,
): void {
  const dialects = provider.dialectsOf(target);
  const operations = [
    ...dialects.flatMap((dialect) => [
      { operation: { kind: 'generate', dialect } as const, isStream: false },
      { operation: { kind: 'generate', dialect } as const, isStream: true },
    ]),
    ...(canEmbed ? [{ operation: { kind: 'embed' } as const, isStream: false }] : []),
  ];
  const addresses = (given: ProviderTarget) =>
    operations.map(({ operation, isStream }) => provider.addressOf(given, operation, isStream));

  describe(`${name} keeps the promises of a provider`, () => {
    it('goes by its name and says how it is spoken to', () => {
      expect(provider.name).toBe(target.provider);
      expect(dialects.length).toBeGreaterThan(0);
      expect(provider.dialectsOf({ ...target, dialects: ['chat'] })).toEqual(['chat']);
    });

    it('has an address for all that it does, at home and elsewhere', () => {
      for (const url of addresses(target)) {
        expect(['https:', 'http:']).toContain(url.protocol);
        if (host !== undefined) expect(url.host).toBe(host);
      }
      for (const url of addresses({ ...target, url: 'https://proxy.example:8443/base/' })) {
        expect(url.origin).toBe('https://proxy.example:8443');
        expect(url.pathname).toMatch(/^\/base\/[^/]/);
        expect(url.pathname).not.toContain('//');
      }
    });

    it('refuses what is no address, and one that holds a credential, without repeating it', () => {
      for (const url of [
        'nonsense',
        'file:///etc/passwd',
        'https://user:hunter2@host/v1',
        'https://host/v1?key=hunter2',
        'https://host/#hunter2',
      ]) {
        expect(() => addresses({ ...target, url })).toThrow(expect.objectContaining({ code: 'bad_configuration' }));
        expect(() => addresses({ ...target, url })).toThrow(/^((?!hunter2).)*$/);
      }
    });

    it('keeps a hostile model name within its place in the path', () => {
      const usual = addresses({ ...target, model: 'm' });
      for (const model of ['../../admin', 'a/../b', 'x?key=1', 'x#y', 'a b', '%2e%2e', 'x\r\nhost: evil', '@evil', '\\evil']) {
        const there = addresses({ ...target, model });
        expect(there.map(({ origin }) => origin)).toEqual(usual.map(({ origin }) => origin));
        expect(there.map(({ search, hash }) => [search, hash])).toEqual(usual.map(({ search, hash }) => [search, hash]));
        expect(there.map(({ pathname }) => pathname.split('/').length)).toEqual(
          usual.map(({ pathname }) => pathname.split('/').length),
        );
      }
    });

    it('lets no model name lead out of its place, though it were two dots', () => {
      for (const model of ['.', '..']) {
        try {
          const usual = addresses({ ...target, model: 'm' }).map(({ pathname }) => pathname.split('/').length);
          expect(addresses({ ...target, model }).map(({ pathname }) => pathname.split('/').length)).toEqual(usual);
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad_configuration' });
        }
      }
    });

    it('does not answer in a dialect that it does not speak', () => {
      for (const dialect of ['chat', 'responses', 'completions', 'messages', 'gemini', 'converse'] as const) {
        try {
          expect(provider.addressOf(target, { kind: 'generate', dialect }, false)).toBeInstanceOf(URL);
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad_configuration' });
          expect(dialects).not.toContain(dialect);
        }
      }
      if (!canEmbed) expect(() => provider.addressOf(target, { kind: 'embed' }, false)).toThrow(GatewayError);
    });

    it('puts credentials into headers that can be sent, and nowhere else', async () => {
      for (const url of addresses(target)) {
        const headers = await provider.authorize(target, { url, body, nowMs });
        for (const [header, value] of Object.entries(headers)) {
          expect(header).toMatch(/^[a-z][a-z0-9-]*$/);
          expect(value).toMatch(/^[\x20-\x7e]+$/);
        }
        if (needsCredential) expect(Object.keys(headers).length).toBeGreaterThan(0);
        for (const secret of secrets) expect(decodeURIComponent(url.href)).not.toContain(secret);
      }
    });

    it('gives the same headers for the same request at the same time', async () => {
      const [url] = addresses(target);
      if (url === undefined) throw new Error('no address');
      const request = { url, body, nowMs };
      expect(await provider.authorize(target, request)).toEqual(await provider.authorize(target, request));
    });

    it('shows no secret when a target is printed or logged', () => {
      for (const text of [inspect(target, { depth: 9 }), JSON.stringify(target), String(target.credential)]) {
        for (const secret of secrets) expect(text).not.toContain(secret);
      }
    });

    it('says what is wrong with a credential without showing it, and sends nothing without one', async () => {
      const [url] = addresses(target);
      if (url === undefined) throw new Error('no address');
      const wrong: (ProviderCredential | undefined)[] = [
        { kind: 'key', key: new Secret('hunter2\r\nx-evil: 1') },
        { kind: 'key', key: new Secret('hunter2\u2028x') },
        { kind: 'key', key: new Secret('hunter2 "') },
        { kind: 'key', key: new Secret('') },
        { kind: 'google', account: new Secret('{"hunter2":1}') },
        ...(needsCredential ? [undefined] : []),
      ];
      for (const credential of wrong) {
        const asked = async () => provider.authorize({ ...target, credential }, { url, body, nowMs });
        await expect(asked()).rejects.toMatchObject({
          code: 'credentials_failed',
          message: expect.not.stringContaining('hunter2'),
        });
      }
    });
  });
}
