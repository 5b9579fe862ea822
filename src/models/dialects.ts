import { chatClient, chatProvider } from './chat/chat.ts';
import { converse } from './converse/converse.ts';
import type { ClientDialect, ClientDialectName, ProviderDialect, ProviderDialectName } from './dialect.ts';
import { gemini } from './gemini/gemini.ts';
import { messagesClient, messagesProvider } from './messages/messages.ts';

/** Every way of speaking to models that a client may use. Adding one is a folder and a line here. */
export const clientDialects: Readonly<Partial<Record<ClientDialectName, ClientDialect>>> = {
  chat: chatClient,
  messages: messagesClient,
};

/** The same of providers. */
export const providerDialects: Readonly<Partial<Record<ProviderDialectName, ProviderDialect>>> = {
  chat: chatProvider,
  messages: messagesProvider,
  gemini,
  converse,
};
