import { createHash } from 'node:crypto';

/**
 * Ids of tool calls as Anthropic takes them: letters, digits, `_` and `-`, none twice in a conversation. Legal ids stay as they are;
 * the same id gets the same name every time, so that a provider's cache still fits.
 */
export interface ToolIds {
  ofCall(id: string): string;
  /** Of the call that the result is for: the last one that had this id. */
  ofResult(callId: string): string;
}

export function toolIds(): ToolIds {
  const latest = new Map<string, string>();
  const taken = new Set<string>();
  return {
    ofCall: (id) => {
      const base = makeLegal(id);
      let name = base;
      for (let again = 2; taken.has(name); again++) name = `${base}_${again}`;
      taken.add(name);
      latest.set(id, name);
      return name;
    },
    ofResult: (callId) => latest.get(callId) ?? makeLegal(callId),
  };
}

function makeLegal(id: string): string {
  if (/^[A-Za-z0-9_-]{1,128}$/.test(id)) return id;
  const readable = id.slice(0, 32).replaceAll(/[^A-Za-z0-9_-]/g, '_');
  return `${readable}_${createHash('sha256').update(id).digest('hex').slice(0, 16)}`;
}
