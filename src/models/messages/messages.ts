import type { ClientDialect, ProviderDialect } from '../dialect.ts';
import { noUsage } from '../reply.ts';
import { writeError, writeStreamError } from './error-document.ts';
import { readFailure } from './failure.ts';
import { isStream, readPrompt } from './read-prompt.ts';
import { readReply } from './read-reply.ts';
import { streamReader } from './stream-reader.ts';
import { streamWriter } from './stream-writer.ts';
import { textsOf } from './texts.ts';
import { readUsage } from './usage.ts';
import { writePrompt } from './write-prompt.ts';
import { writeReply } from './write-reply.ts';

// Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages. Requests are written for version 2023-06-01, which has
// all that is needed; replies are such that clients of 2026-10-21 can read them as well.

export const messagesClient: ClientDialect = {
  name: 'messages',
  readPrompt,
  writeReply,
  streamWriter,
  isStream,
  writeError,
  writeStreamError,
  textsOf,
};

export const messagesProvider: ProviderDialect = {
  name: 'messages',
  writePrompt,
  readReply,
  streamReader,
  readFailure,
  usageOf: (body) => {
    const usage = readUsage(body.usage);
    return Object.keys(usage).length === 0 ? undefined : { ...noUsage, ...usage };
  },
};
