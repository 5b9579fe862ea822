import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Member } from '../../src/catalog/catalog.ts';
import { keepUris, mapUri, mapUris, type UriSource, unmapUri } from '../../src/catalog/resource-uri.ts';
import { memberOf, upstreamConfig } from './offering-upstream.ts';

const namespaces = fc.stringMatching(/^[a-z][a-z0-9-]{0,23}$/);
const upstreams = fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/);
const uris = fc.oneof(
  fc.webUrl(),
  fc.string({ unit: 'binary' }),
  fc.stringMatching(/^[a-z]{1,4}:(\/\/)?[a-z.{}/?#:+-]{0,20}$/),
  fc.constantFrom(
    'gh:x',
    'gh:gh.a.b/x',
    'gatehouse:text.a.b/x',
    'gatehouse:x',
    'text.a.b/x',
    'ui://gh.a.b/x',
    '://',
    'a:',
    'a://',
    'line\nbreak:\n',
  ),
);

function source(id: string, changes: Partial<UriSource> = {}): UriSource {
  return { member: memberOf(upstreamConfig(id), {}), readable: 'all', uris: [], templates: [], ...changes };
}

test.each([
  ['ui://weather/forecast.html', 'ui://gh.demo.w/weather/forecast.html'],
  ['file:///etc/hosts', 'file://gh.demo.w//etc/hosts'],
  ['urn:isbn:1', 'urn:gh.demo.w/isbn:1'],
  ['demo://resource/{id}', 'demo://gh.demo.w/resource/{id}'],
  ['{+path}', 'gatehouse:text.demo.w/{+path}'],
  ['plain', 'gatehouse:text.demo.w/plain'],
])('%s is %s to clients', (uri, outward) => {
  expect(mapUri('demo', 'w', uri)).toBe(outward);
  expect(unmapUri(outward)).toEqual({ upstream: 'demo/w', uri });
});

test('any URI comes back as it was', () => {
  fc.assert(
    fc.property(namespaces, upstreams, uris, (namespace, upstream, uri) => {
      expect(unmapUri(mapUri(namespace, upstream, uri))).toEqual({ upstream: `${namespace}/${upstream}`, uri });
    }),
  );
});

test('two upstreams never meet, whatever URIs they choose', () => {
  fc.assert(
    fc.property(namespaces, upstreams, uris, namespaces, upstreams, uris, (namespaceA, a, uriA, namespaceB, b, uriB) => {
      fc.pre(`${namespaceA}/${a}` !== `${namespaceB}/${b}`);
      expect(mapUri(namespaceA, a, uriA)).not.toBe(mapUri(namespaceB, b, uriB));
    }),
  );
});

test('an expanded template belongs to the upstream that has the template', () => {
  const outward = mapUri('demo', 'w', 'demo://resource/{id}').replace('{id}', '7');
  expect(unmapUri(outward)).toEqual({ upstream: 'demo/w', uri: 'demo://resource/7' });
});

test('a mapped URI reaches a member, and nobody when its upstream is no member', () => {
  const a = source('demo/a');
  const map = mapUris([a, source('demo/b')]);
  expect(map.toUpstream('ui://gh.demo.a/x')).toEqual({ member: a.member, uri: 'ui://x' });
  expect(map.toUpstream('ui://gh.demo.c/x')).toBeUndefined();
  expect(map.toUpstream('ui://gh.other.a/x')).toBeUndefined();
});

test('a listed URI in the form of another upstream does not reach that upstream under its own name', () => {
  const hostile = source('demo/hostile', { uris: ['ui://gh.demo.victim/x'] });
  const victim = source('demo/victim');
  const map = mapUris([hostile, victim]);
  expect(map.toUpstream('ui://gh.demo.victim/x')?.member).toBe(victim.member);
  expect(map.toUpstream(map.toClient(hostile.member, 'ui://gh.demo.victim/x'))).toEqual({
    member: hostile.member,
    uri: 'ui://gh.demo.victim/x',
  });
});

test('an unmapped URI reaches the one member that lists it, and nobody when two do', () => {
  const a = source('demo/a', { uris: ['x://one', 'x://both'] });
  const map = mapUris([a, source('demo/b', { uris: ['x://both'] })]);
  expect(map.toUpstream('x://one')).toEqual({ member: a.member, uri: 'x://one' });
  expect(map.toUpstream('x://both')).toBeUndefined();
  expect(map.toUpstream('x://none')).toBeUndefined();
});

test('an unmapped URI reaches the one member whose template it matches, and nobody when two match', () => {
  const a = source('demo/a', { templates: ['x://{id}', 'y://{id}'] });
  const map = mapUris([a, source('demo/b', { templates: ['y://{+any}'] })]);
  expect(map.toUpstream('x://7')).toEqual({ member: a.member, uri: 'x://7' });
  expect(map.toUpstream('x://{id}')).toEqual({ member: a.member, uri: 'x://{id}' });
  expect(map.toUpstream('y://7')).toBeUndefined();
  expect(map.toUpstream('x://7/8')).toBeUndefined();
});

test('a single member gets every unmapped URI', () => {
  const a = source('demo/a');
  expect(mapUris([a]).toUpstream('anything')).toEqual({ member: a.member, uri: 'anything' });
});

test('what is not readable in this toolbox is not found in any form', () => {
  const a = source('demo/a', { readable: new Set(['ui://page']), uris: ['ui://page'] });
  for (const map of [mapUris([a]), mapUris([a, source('demo/b')])]) {
    expect(map.toUpstream('ui://gh.demo.a/page')?.uri).toBe('ui://page');
    expect(map.toUpstream('ui://page')?.uri).toBe('ui://page');
    expect(map.toUpstream('ui://gh.demo.a/secret')).toBeUndefined();
    expect(map.toUpstream('ui://secret')).toBeUndefined();
  }
  expect(keepUris(a).toUpstream('ui://page')?.uri).toBe('ui://page');
  expect(keepUris(a).toUpstream('ui://secret')).toBeUndefined();
});

test('a one-to-one toolbox changes nothing', () => {
  const a = source('demo/a');
  const map = keepUris(a);
  expect(map.isIdentity).toBe(true);
  expect(map.toClient(a.member as Member, 'ui://x')).toBe('ui://x');
  expect(map.toUpstream('ui://gh.demo.b/x')).toEqual({ member: a.member, uri: 'ui://gh.demo.b/x' });
});
