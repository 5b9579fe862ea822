import { converse } from './converse/converse.ts';
import type { ProviderDialect, ProviderDialectName } from './dialect.ts';
import { gemini } from './gemini/gemini.ts';

/** The ways of speaking to providers. */
export const providerDialects = { gemini, converse } as const satisfies Partial<Record<ProviderDialectName, ProviderDialect>>;
