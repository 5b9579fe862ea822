import { chatClient, chatProvider } from './chat/chat.ts';
import type { ClientDialect, ClientDialectName, ProviderDialect, ProviderDialectName } from './dialect.ts';

export const clientDialects: ReadonlyMap<ClientDialectName, ClientDialect> = new Map(
  [chatClient].map((dialect) => [dialect.name, dialect]),
);

export const providerDialects: ReadonlyMap<ProviderDialectName, ProviderDialect> = new Map(
  [chatProvider].map((dialect) => [dialect.name, dialect]),
);
