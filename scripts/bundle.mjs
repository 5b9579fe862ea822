// How src/ becomes a program of few files; scripts/build.mjs makes dist/ with it, and a test its own program.
import http from 'node:http';
import { join } from 'node:path';
import { build } from 'rolldown';

/**
 * `node:http` without WebSocket and its events. To import the module from ESM means to read all that it exports, and Node loads
 * its own HTTP client when somebody reads those: 15 ms of a start, for what nobody here uses.
 */
const lightHttp = {
  name: 'light-http',
  resolveId: (id, _importer, { kind }) => (id === 'node:http' && kind === 'import-statement' ? '\0light-http' : null),
  load(id) {
    if (id !== '\0light-http') return null;
    const names = Object.keys(http).filter((name) => !['WebSocket', 'CloseEvent', 'MessageEvent'].includes(name));
    return `const http = process.getBuiltinModule('node:http');\nexport const { ${names.join(', ')} } = http;\nexport default http;`;
  },
};

/** undici loads `node:http2` for what every pool here refuses (`allowH2: false`); it sees a Node that was built without it. 15 ms of a start. */
const noHttp2 = {
  name: 'no-http2',
  resolveId: (id) => (id === 'node:http2' ? '\0no-http2' : null),
  load: (id) => (id === '\0no-http2' ? 'export const constants = {};' : null),
};

/**
 * One sign beyond Latin-1, in a string of somebody's, makes Node keep a whole file with two bytes a letter, and read it more slowly.
 * JavaScript means the same by its escape, but in raw strings.
 */
const latin = {
  name: 'latin',
  renderChunk(code, { fileName }) {
    const raw = /String\.raw`[^`]*[^\0-\xff]/.exec(code);
    if (raw !== null)
      throw new Error(`${fileName}: a sign beyond Latin-1 in ${raw[0].slice(0, 60)}: write its escape, not in a raw string.`);
    const escaped = code.replaceAll(/[^\0-\xff]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
    // Lines stay where they are, which is what the source map is for.
    return escaped === code ? null : { code: escaped, map: null };
  },
};

/**
 * What a start needs goes into four files, whoever else uses parts of it: each file costs a start half a millisecond, and left to
 * themselves the parts that commands share become fifty. None may be over a megabyte: Node keeps it with two bytes a letter. The first has what the command line needs, and what `connect` shares with
 * the gateway, so that `connect` does not load a gateway.
 */
function groupsOf(root) {
  const closures = new Map();
  const closureOf = (file, context) => {
    const known = closures.get(file) ?? new Set();
    if (closures.has(file)) return known;
    closures.set(file, known);
    const add = (id) => {
      const info = known.has(id) ? null : context.getModuleInfo(id);
      if (info === null) return;
      known.add(id);
      for (const imported of info.importedIds) add(imported);
    };
    add(join(root, file));
    return known;
  };
  const isIn = (file, id, context) => id !== join(root, 'src', file) && closureOf(`src/${file}`, context).has(id);
  const isCommandLine = (id, context) =>
    isIn('main.ts', id, context) || (isIn('cli/connect.ts', id, context) && isIn('cli/serve.ts', id, context));
  const isLibrary = (id) => id.includes('/node_modules/');
  return [
    { debugName: 'ground', name: (id, context) => (isCommandLine(id, context) ? 'ground' : null), priority: 2 },
    {
      debugName: 'libraries',
      name: (id, context) => (isLibrary(id) && isIn('cli/serve.ts', id, context) ? 'libraries' : null),
      priority: 1.5,
    },
    {
      debugName: 'upstreams',
      name: (id, context) => (isIn('upstreams/kinds.ts', id, context) && isIn('cli/serve.ts', id, context) ? 'upstreams' : null),
      priority: 1.2,
    },
    { debugName: 'gateway', name: (id, context) => (isIn('cli/serve.ts', id, context) ? 'gateway' : null), priority: 1 },
  ];
}

const groupLimit = 1024 * 1024;

/** Throws for a file of a start that is so long that Node keeps it with two bytes a letter: 8 MB at rest, and a slower start. */
function checkLength({ type, name, code }) {
  if (type !== 'chunk' || !['ground', 'libraries', 'upstreams', 'gateway'].includes(name) || code.length < groupLimit) return;
  throw new Error(`The file "${name}" has grown to ${code.length} characters: make a further group of a part of it.`);
}

/** Bundles the named entries, with every dependency, into a directory. Returns the names of its files. */
export async function bundle(root, input, dir, banner = () => '') {
  const { output } = await build({
    cwd: root,
    input,
    platform: 'node',
    // Where a module is imported both ways, it is loaded early by somebody else's need.
    checks: { ineffectiveDynamicImport: false },
    plugins: [lightHttp, noHttp2, latin],
    // pg tries it and goes on without; nobody here installs it.
    external: ['pg-native'],
    output: {
      dir,
      format: 'esm',
      entryFileNames: '[name].mjs',
      codeSplitting: { groups: groupsOf(root) },
      chunkFileNames: 'chunks/[name]-[hash].mjs',
      sourcemap: true,
      // They are in the source; here a start would read them. Licences stay.
      comments: { legal: true, annotation: false, jsdoc: false },
      // Stack traces and profiles keep the names of the source.
      minify: false,
      banner,
    },
  });
  output.forEach(checkLength);
  return output.map(({ fileName }) => fileName);
}
