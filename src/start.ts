// The first file that runs in dist/: it says so when Node is too old, and lets Node keep compiled code, so that every start but
// the first skips the compiler. It imports nothing that an old Node lacks.
import module from 'node:module';
import { join } from 'node:path';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 13)) {
  process.stderr.write(
    `Gatehouse needs Node 22.13 or newer; this is ${process.versions.node}. ` +
      'Start it through npm ("npm start", "npx gatehouse"), which brings the right one, or install a newer Node.\n',
  );
  process.exit(1);
}

// Beside the code and nowhere shared: what lies in a world-writable directory could have been put there by somebody else.
// Where the directory cannot be written and holds nothing, every start compiles; nothing else changes.
module.enableCompileCache(join(import.meta.dirname, 'compile-cache'));

await import('./main.ts');
