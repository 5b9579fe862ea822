import type { ClientDialect, ClientDialectName, ProviderDialect, ProviderDialectName } from './dialect.ts';
import { messagesClient, messagesProvider } from './messages/messages.ts';

export const clientDialects = {
  messages: messagesClient,
} satisfies Partial<Record<ClientDialectName, ClientDialect>>;

export const providerDialects = {
  messages: messagesProvider,
} satisfies Partial<Record<ProviderDialectName, ProviderDialect>>;
