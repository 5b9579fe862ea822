import { createServer } from 'node:http';
import { discoverOAuthProtectedResourceMetadata, extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js';
import { expect, test } from 'vitest';
import {
  bearerChallenge,
  describeResource,
  publicUrlOf,
  resourceUrl,
  scopesFor,
  scopesOf,
} from '../../src/identity/resource-metadata.ts';
import { listenOn } from '../support/upstreams/listen-on.ts';
import { publicUrl, triage, trust } from './verifier.ts';

const [first, second] = ['https://login.example.com', 'https://other.example.com'];
const scopes = {
  triage: { toolboxes: ['triage'] },
  support: { toolboxes: ['triage', 'refunds'] },
  people: { namespaces: ['hr'] },
};
const issuers = trust(
  { issuer: first, claims: { scopes } },
  { issuer: second, claims: { scopes: { triage: 'all', everything: 'all' } } },
);
const known = '/.well-known/oauth-protected-resource';

test('each toolbox has a document of its own, which names it and every issuer', () => {
  const rest = {
    authorization_servers: [first, second],
    scopes_supported: ['triage', 'support', 'people', 'everything'],
    bearer_methods_supported: ['header'],
    resource_name: 'Gatehouse',
  };
  expect(describeResource(issuers, `${known}/mcp/triage`, publicUrl)).toEqual({ resource: triage, ...rest });
  expect(describeResource(issuers, `${known}/mcp`, publicUrl)).toEqual({ resource: `${publicUrl}/mcp`, ...rest });
  expect(describeResource(issuers, `${known}/mcp/triage@2`, publicUrl)).toEqual({ resource: `${triage}@2`, ...rest });
  expect(describeResource(issuers, known, publicUrl)).toEqual({ resource: publicUrl, ...rest });
});

test('a toolbox that does not exist has the same document, but for its name', () => {
  const documentOf = (name: string) => JSON.stringify(describeResource(issuers, `${known}/mcp/${name}`, publicUrl));
  expect(documentOf('nowhere').replaceAll('nowhere', 'triage')).toBe(documentOf('triage'));
  const challengeOf = (name: string) =>
    bearerChallenge({ error: 'none', scopes: scopesOf(issuers), path: `/mcp/${name}`, publicUrl });
  expect(challengeOf('nowhere').replaceAll('nowhere', 'triage')).toBe(challengeOf('triage'));
});

test.each([
  '/mcp/',
  '/mcp/Triage',
  '/mcp/a/b',
  '/mcp/../x',
  '/mcp/%74riage',
  '/mcp/a"b',
  '/api',
  '/',
  'x',
  '/mcp/triage?a',
  '//mcp',
])('there is no document for %s', (path) => {
  expect(describeResource(issuers, known + path, publicUrl)).toBeUndefined();
});

test('without issuers there is none at all, and without scopes none are named', () => {
  expect(describeResource([], `${known}/mcp`, publicUrl)).toBeUndefined();
  expect(describeResource(trust({ issuer: first }), `${known}/mcp`, publicUrl)).not.toHaveProperty('scopes_supported');
  expect(describeResource(issuers, '/mcp', publicUrl)).toBeUndefined();
});

test('a gateway below a path is found with the path before and behind the well-known one', () => {
  const below = 'https://example.com/gatehouse';
  for (const path of [`${known}/mcp/triage`, `${known}/gatehouse/mcp/triage`])
    expect(describeResource(issuers, path, below)?.resource).toBe(`${below}/mcp/triage`);
  expect(describeResource(issuers, `${known}/gatehouse`, below)?.resource).toBe(below);
  expect(describeResource(issuers, `${known}/gatehousemcp`, below)).toBeUndefined();
  expect(bearerChallenge({ error: 'none', scopes: [], path: '/mcp/triage', publicUrl: below })).toContain(
    `resource_metadata="${below}${known}/mcp/triage"`,
  );
});

test('a challenge says where to go, and what was wrong with a token that was sent', () => {
  expect(bearerChallenge({ error: 'none', description: 'x', scopes: [], path: '/mcp/triage', publicUrl })).toBe(
    `Bearer realm="gatehouse", resource_metadata="${publicUrl}${known}/mcp/triage"`,
  );
  expect(
    bearerChallenge({
      error: 'invalid_token',
      description: 'This token has expired.',
      scopes: ['a', 'b:c'],
      path: '/mcp',
      publicUrl,
    }),
  ).toBe(
    `Bearer realm="gatehouse", error="invalid_token", error_description="This token has expired.", scope="a b:c", resource_metadata="${publicUrl}${known}/mcp"`,
  );
  expect(bearerChallenge({ error: 'insufficient_scope', scopes: ['triage'], path: '/mcp/triage', publicUrl })).toContain(
    'error="insufficient_scope", scope="triage"',
  );
});

test('nothing that stands in a challenge can end it', () => {
  const hostile = 'a", error="none\r\nSet-Cookie: a=b\\ \u00fc\u{1f642}\0';
  const header = bearerChallenge({
    error: 'invalid_token',
    description: hostile,
    scopes: [hostile],
    path: `/mcp/${hostile}`,
    publicUrl,
  });
  expect(header).toMatch(/^Bearer ([a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*"(, |$))+$/);
  expect(header).toContain(`resource_metadata="${publicUrl}${known}"`);
  expect(header.match(/error="/g)).toHaveLength(1);
});

test('the scopes to ask for are those of the issuer that reach the toolbox and least beside it', () => {
  expect(scopesFor(issuers, first, 'triage')).toEqual(['triage']);
  expect(scopesFor(issuers, first, 'refunds')).toEqual(['support']);
  expect(scopesFor(issuers, first, 'nowhere')).toEqual([]);
  expect(scopesFor(issuers, second, 'nowhere')).toEqual(['triage', 'everything']);
  expect(scopesFor(issuers, 'https://unknown.example.com', 'triage')).toEqual([]);
});

test('the own address is the configured one, or that of this machine', () => {
  expect(publicUrlOf({ publicUrl, host: '0.0.0.0' }, 1)).toBe(publicUrl);
  expect(publicUrlOf({ publicUrl: undefined, host: '127.0.0.1' }, 8080)).toBe('http://127.0.0.1:8080');
  expect(publicUrlOf({ publicUrl: undefined, host: '::1' }, 8080)).toBe('http://[::1]:8080');
  expect(publicUrlOf({ publicUrl: undefined, host: 'localhost' }, 8080)).toBe('http://localhost:8080');
  expect(publicUrlOf({ publicUrl: undefined, host: '0.0.0.0' }, 8080)).toBe('http://127.0.0.1:8080');
  expect(resourceUrl('/mcp/triage', publicUrl)).toBe(triage);
});

test("the official SDK's client reads the challenge, and finds the document with and without it", async () => {
  const server = await listenOn(
    createServer((request, response) => {
      const own = `http://127.0.0.1:${server.port}`;
      const document = describeResource(issuers, request.url ?? '', own);
      if (document !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
      else {
        const challenge = bearerChallenge({ error: 'none', scopes: ['triage'], path: request.url ?? '', publicUrl: own });
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    }),
  );
  const address = `http://127.0.0.1:${server.port}/mcp/triage`;
  const { resourceMetadataUrl, scope } = extractWWWAuthenticateParams(await fetch(address));
  expect(resourceMetadataUrl?.href).toBe(`http://127.0.0.1:${server.port}${known}/mcp/triage`);
  expect(scope).toBe('triage');
  for (const options of [{ resourceMetadataUrl: resourceMetadataUrl! }, {}])
    expect(await discoverOAuthProtectedResourceMetadata(address, options)).toMatchObject({
      resource: address,
      authorization_servers: [first, second],
    });
  await server.close();
});
