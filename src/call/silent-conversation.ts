import { type Conversation, RpcFailure } from '../upstreams/upstream.ts';

/** Of clients that hear nothing before the answer and can be asked nothing. */
export const silentConversation: Conversation = Object.freeze({
  takesRounds: false,
  logLevel: undefined,
  progress: undefined,
  log() {},
  notify() {},
  ask: () => Promise.reject(new RpcFailure({ code: -32601, message: 'Nothing can be asked here.' })),
});
