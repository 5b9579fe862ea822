// The first file that runs in dist/: it says so when Node is too old, and lets Node keep compiled code, so that every start but
// the first skips the compiler. It imports nothing that an old Node lacks.
import module from 'node:module';
import { join } from 'node:path';
import v8 from 'node:v8';

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

// Nearly all that a start makes stays. V8 would take that for the beginning of a busy life and make room for more of the same,
// 9 MB that are never given back to whoever has the gateway at rest. Under load it grows as ever.
v8.setFlagsFromString('--semi-space-growth-factor=1');
setTimeout(() => {
  // What is kept of the code is void under other flags than it was made with.
  module.flushCompileCache();
  v8.setFlagsFromString('--semi-space-growth-factor=2');
  // Little of what calls leave behind is alive: to wake four threads for it costs more than they take off. A start leaves more.
  v8.setFlagsFromString('--no-parallel-scavenge');
}, 1_000).unref();

await import('./main.ts');
