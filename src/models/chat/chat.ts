import type { GatewayError } from '../../errors.ts';
import type { ClientDialect, ProviderDialect } from '../dialect.ts';
import { openaiErrorOf, readOpenaiFailure, writeOpenaiError } from '../openai-error.ts';
import { readChatPrompt } from './read-prompt.ts';
import { readChatReply } from './read-reply.ts';
import { ChatStreamReader } from './stream-reader.ts';
import { ChatStreamWriter } from './stream-writer.ts';
import { chatTexts } from './texts.ts';
import { readChatUsage } from './usage.ts';
import { writeChatPrompt } from './write-prompt.ts';
import { writeChatReply } from './write-reply.ts';

/** OpenAI's Chat Completions (platform.openai.com/docs/api-reference/chat), and what servers like it have added. */
export const chatClient: ClientDialect = {
  name: 'chat',
  readPrompt: readChatPrompt,
  writeReply: writeChatReply,
  streamWriter: (facts) => new ChatStreamWriter(facts),
  isStream: (body) => body.stream === true,
  writeError: writeOpenaiError,
  writeStreamError: writeChatStreamError,
  textsOf: chatTexts,
  isEnd: saysFinish,
};

export const chatProvider: ProviderDialect = {
  name: 'chat',
  writePrompt: writeChatPrompt,
  readReply: readChatReply,
  streamReader: () => new ChatStreamReader(),
  readFailure: readOpenaiFailure,
  usageOf: (body) => readChatUsage(body.usage),
};

/** Some servers say why they end with the last words. In a text of the model, the quotes of such a member would be escaped. */
export function saysFinish(data: string): boolean {
  return /"finish_reason"\s*:\s*"/.test(data);
}

export function writeChatStreamError(error: GatewayError): string {
  return `data: ${JSON.stringify({ error: openaiErrorOf(error) })}\n\n`;
}
