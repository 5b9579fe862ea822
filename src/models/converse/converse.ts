import type { ProviderDialect } from '../dialect.ts';
import { readFailure } from './read-failure.ts';
import { readReply } from './read-reply.ts';
import { streamReader } from './read-stream.ts';
import { readUsage } from './usage.ts';
import { writePrompt } from './write-prompt.ts';

/** Amazon Bedrock's Converse and ConverseStream (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html). */
export const converse: ProviderDialect = {
  name: 'converse',
  writePrompt,
  readReply,
  streamReader,
  readFailure,
  usageOf: readUsage,
};
