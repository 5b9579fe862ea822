import { chatClient, chatProvider } from './chat/chat.ts';
import { completionsClient, completionsProvider } from './completions/completions.ts';
import { converse } from './converse/converse.ts';
import type { ClientDialect, ClientDialectName, ProviderDialect, ProviderDialectName } from './dialect.ts';
import { gemini } from './gemini/gemini.ts';
import { messagesClient, messagesProvider } from './messages/messages.ts';
import { responsesClient, responsesProvider } from './responses/responses.ts';

/** Every way of speaking to models that a client may use. Adding one is a folder and a line here. */
export const clientDialects: ReadonlyMap<ClientDialectName, ClientDialect> = new Map(
  [chatClient, responsesClient, completionsClient, messagesClient].map((dialect) => [dialect.name, dialect]),
);

/** The same of providers. */
export const providerDialects: ReadonlyMap<ProviderDialectName, ProviderDialect> = new Map(
  [chatProvider, responsesProvider, completionsProvider, messagesProvider, gemini, converse].map((dialect) => [
    dialect.name,
    dialect,
  ]),
);
