import fc from 'fast-check';

// The same values in every run; TEST_SEED tries others. A failure prints the seed and the path to its smallest case.
fc.configureGlobal({ seed: Number(process.env.TEST_SEED ?? 20_260_728) });
