import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

// Imports point one way: a file may use its own part of the program and whatever stands further down. Parts on one line do not
// know each other, except on the last.
const layers: readonly (readonly string[])[] = [
  ['start.ts'],
  ['main.ts'],
  ['cli/'],
  ['gateway.ts'],
  ['gateway/'],
  ['inbound/', 'portal/'],
  ['admin/'],
  ['call/'],
  ['alerts/', 'review/'],
  ['registry/'],
  ['finding/'],
  ['catalog/'],
  ['credentials/', 'notify/'],
  ['upstreams/', 'telemetry/', 'identity/', 'journal/'],
  ['models/cache/'],
  ['store/'],
  ['policy/'],
  ['arguments/', 'content/'],
  ['models/'],
  ['wire/'],
  [
    'clock.ts',
    'describe-issue.ts',
    'errors.ts',
    'load-sqlite.ts',
    'log.ts',
    'open-url.ts',
    'problems.ts',
    'hmac.ts',
    'seal.ts',
    'secret.ts',
    'secrets.ts',
    'settings.ts',
    'settings/',
    'turns.ts',
    'version.ts',
    'yaml-apart.ts',
    'yaml-document.ts',
    'yaml-file.ts',
    'yaml-worker.ts',
  ],
];
const ground = layers.length - 1;

// What a namespace file says of an upstream is to that upstream what settings are to the program; globs are for every rule that
// names capabilities. What gatehouse.yaml says of an issuer, of whom to tell and of search is a setting.
const groundFiles = [
  'catalog/config.ts',
  'catalog/glob.ts',
  'identity/issuers.ts',
  'notify/notify-settings.ts',
  'finding/search-settings.ts',
];

const storeDoors = ['store/ports.ts', 'store/open-store.ts', 'store/follow-registry.ts'];
const isPort = (file: string): boolean => /^store\/ports\/[^/]+$/.test(file);

/** For commands that work on the store as a whole. */
const operatorDoors = ['store/backup/backup-store.ts', 'store/backup/restore-store.ts', 'store/store-options.ts'];

/** Folders that the rest of the program enters by one file. */
const doors: readonly { readonly folder: RegExp; readonly mayEnter: (from: string, to: string) => boolean }[] = [
  { folder: /^store\/(sqlite|postgres|redis|memory)\//, mayEnter: (from) => from === 'store/open-store.ts' },
  {
    folder: /^store\//,
    mayEnter: (from, to) => isPort(to) || storeDoors.includes(to) || (from.startsWith('cli/') && operatorDoors.includes(to)),
  },
  { folder: /^upstreams\/[^/]+\//, mayEnter: (from) => from === 'upstreams/kinds.ts' },
];

const sdkUsers = ['inbound/mcp/', 'upstreams/mcp/'];

/** The sentence that says why this import may not be, or undefined where it may. Paths are relative to src/. */
function objection(from: string, to: string): string | undefined {
  if (to.startsWith('@modelcontextprotocol/')) {
    return sdkUsers.some((folder) => from.startsWith(folder)) ? undefined : `${from} imports the MCP SDK (${to})`;
  }
  const target = posix.join(posix.dirname(from), to);
  if (!to.startsWith('.') || target.startsWith('..')) return undefined;
  for (const { folder, mayEnter } of doors) {
    const entered = folder.exec(target)?.[0];
    if (entered !== undefined && !from.startsWith(entered) && !mayEnter(from, target))
      return `${from} may not look into ${entered} (${target})`;
  }
  const [user, used] = [partOf(from), partOf(target)];
  if (user === undefined || used === undefined) return `${user === undefined ? from : target} has no place in the layers`;
  if (user.name === used.name || user.layer < used.layer || used.layer === ground) return undefined;
  return `${from} (${user.name}) imports ${target} (${used.name}): imports point the other way`;
}

function partOf(path: string): { readonly name: string; readonly layer: number } | undefined {
  if (groundFiles.includes(path)) return { name: path, layer: ground };
  for (const [layer, names] of layers.entries()) {
    const name = names.find((candidate) => path === candidate || (candidate.endsWith('/') && path.startsWith(candidate)));
    if (name !== undefined) return { name, layer };
  }
  return undefined;
}

function importsOf(source: string): string[] {
  const pattern = /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g;
  return Array.from(source.matchAll(pattern), ([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '');
}

const src = fileURLToPath(new URL('../src', import.meta.url));
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll('\\', '/'));

describe('layering', () => {
  test('every import in src/ points the way the architecture says', () => {
    const edges = files.flatMap((file) =>
      importsOf(readFileSync(join(src, file), 'utf8')).map((target) => [file, target] as const),
    );
    expect(edges.length).toBeGreaterThan(100);
    expect(edges.map(([from, to]) => objection(from, to)).filter((sentence) => sentence !== undefined)).toEqual([]);
  });

  test.each([
    ['catalog/build.ts', '../call/call.ts', 'call/resolve.ts', '../catalog/catalog.ts'],
    ['call/resolve.ts', '../inbound/server.ts', 'inbound/server.ts', '../call/call.ts'],
    ['inbound/server.ts', '../gateway.ts', 'cli/serve.ts', '../gateway.ts'],
    ['upstreams/mcp/http.ts', '../../catalog/build.ts', 'catalog/build.ts', '../upstreams/upstream.ts'],
    ['identity/map-claims.ts', '../upstreams/egress.ts', 'call/authenticate.ts', '../identity/verify-token.ts'],
    ['settings.ts', './identity/map-claims.ts', 'settings.ts', './identity/issuers.ts'],
    ['errors.ts', './wire/json.ts', 'settings.ts', './problems.ts'],
    ['wire/sse.ts', '../call/call.ts', 'wire/sse.ts', './json.ts'],
    ['content/screen.ts', '../call/call.ts', 'call/inspect.ts', '../content/screen.ts'],
    ['gateway.ts', './store/sqlite/open.ts', 'store/open-store.ts', './sqlite/open.ts'],
    ['inbound/mcp/sessions.ts', '../../store/schema.ts', 'inbound/mcp/sessions.ts', '../../store/ports/sessions.ts'],
    ['gateway.ts', './store/backup/restore-store.ts', 'cli/restore.ts', '../store/backup/restore-store.ts'],
    ['store/postgres/open.ts', '../redis/open.ts', 'store/postgres/open.ts', '../sql/keys.ts'],
    ['gateway.ts', './upstreams/mcp/mcp-upstream.ts', 'upstreams/kinds.ts', './mcp/mcp-upstream.ts'],
    ['call/inspect.ts', '@modelcontextprotocol/core', 'inbound/mcp/messages.ts', '@modelcontextprotocol/core'],
  ])('%s may not import %s; %s may import %s', (wrongFrom, wrongTo, rightFrom, rightTo) => {
    expect(objection(wrongFrom, wrongTo)).toBeDefined();
    expect(objection(rightFrom, rightTo)).toBeUndefined();
  });

  test('imports are found in every form, and words in texts are not', () => {
    const source = `import a, {\n  b,\n} from './a.ts';\nimport type { C } from './c.ts';\nimport './d.ts';\nexport { e } from './e.ts';\nconst f = await import('./f.ts');\nconst g = "import h from './h.ts'";\n`;
    expect(importsOf(source)).toEqual(['./a.ts', './c.ts', './d.ts', './e.ts', './f.ts']);
  });
});
