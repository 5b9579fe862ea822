import { hash } from 'node:crypto';

const prefix = 'gemini_';

/** Most answers of Gemini name no id for a call. The same answer, read again, gives the same ids; two answers never share one. */
export function makeCallId(replyId: string, position: number, name: string, args: string): string {
  return prefix + hash('sha256', JSON.stringify([replyId, position, name, args]), 'base64url').slice(0, 24);
}

/** Whether Gemini itself has never seen this id. */
export function isMadeUp(id: string): boolean {
  return id.length === prefix.length + 24 && id.startsWith(prefix);
}
