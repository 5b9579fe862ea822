import { overStdio, started } from './harness.ts';

// Connects the upstream named by its arguments and exits without closing it; started as a program of its own.
await started(overStdio(process.argv.slice(2)));
process.exit(0);
