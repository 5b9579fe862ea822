import { chatClient, chatProvider } from './chat/chat.ts';
import { completionsClient, completionsProvider } from './completions/completions.ts';
import type { ClientDialect, ClientDialectName, ProviderDialect, ProviderDialectName } from './dialect.ts';
import { responsesClient, responsesProvider } from './responses/responses.ts';

const clients: readonly ClientDialect[] = [chatClient, responsesClient, completionsClient];

const providers: readonly ProviderDialect[] = [chatProvider, responsesProvider, completionsProvider];

export const clientDialects: ReadonlyMap<ClientDialectName, ClientDialect> = new Map(
  clients.map((dialect) => [dialect.name, dialect]),
);

export const providerDialects: ReadonlyMap<ProviderDialectName, ProviderDialect> = new Map(
  providers.map((dialect) => [dialect.name, dialect]),
);
