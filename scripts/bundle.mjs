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

/**
 * What a start needs goes into two files, whoever else uses parts of it: each file costs a start half a millisecond, and left to
 * themselves the parts that commands share become fifty. The first has what the command line needs, and what `connect` shares with
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
  return [
    { debugName: 'ground', name: (id, context) => (isCommandLine(id, context) ? 'ground' : null), priority: 2 },
    { debugName: 'gateway', name: (id, context) => (isIn('cli/serve.ts', id, context) ? 'gateway' : null), priority: 1 },
  ];
}

/** Bundles the named entries, with every dependency, into a directory that is emptied first. */
export async function bundle(root, input, dir, banner = () => '') {
  await build({
    cwd: root,
    input,
    platform: 'node',
    // Where a module is imported both ways, it is loaded early by somebody else's need.
    checks: { ineffectiveDynamicImport: false },
    plugins: [lightHttp],
    // pg tries it and goes on without; nobody here installs it.
    external: ['pg-native'],
    output: {
      dir,
      cleanDir: true,
      format: 'esm',
      entryFileNames: '[name].mjs',
      codeSplitting: { groups: groupsOf(root) },
      chunkFileNames: 'chunks/[name]-[hash].mjs',
      sourcemap: true,
      // Stack traces and profiles keep the names of the source.
      minify: false,
      banner,
    },
  });
}
