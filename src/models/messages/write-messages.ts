import type { JsonObject } from '../../wire/json.ts';
import type { Message } from '../prompt.ts';
import { toolIds } from './tool-ids.ts';
import { writeBlocks } from './write-blocks.ts';

type Role = Message['role'];

/**
 * Messages by turns: those of one role that follow each other are one, empty ones are none, and the first is the user's. Results of
 * tools stand before everything else in theirs.
 */
export function writeMessages(messages: readonly Message[]): JsonObject[] {
  const ids = toolIds();
  const turns: { readonly role: Role; readonly content: JsonObject[] }[] = [];
  for (const message of messages) {
    const blocks = writeBlocks(message, ids);
    const last = turns.at(-1);
    if (last?.role === message.role) last.content.push(...blocks);
    else if (blocks.length > 0) turns.push({ role: message.role, content: blocks });
  }
  if (turns[0]?.role === 'assistant')
    turns.unshift({ role: 'user', content: [{ type: 'text', text: '(The conversation starts.)' }] });
  trimPrefill(turns.at(-1));
  return turns.map(({ role, content }) => ({ role, content: resultsFirst(content) }));
}

function resultsFirst(content: JsonObject[]): JsonObject[] {
  const results = content.filter(({ type }) => type === 'tool_result');
  if (results.length === 0) return content;
  return [...results, ...content.filter(({ type }) => type !== 'tool_result')];
}

/** An answer that the model is to go on with may not end in white space. */
function trimPrefill(turn: { readonly role: Role; readonly content: JsonObject[] } | undefined): void {
  const block = turn?.role === 'assistant' ? turn.content.at(-1) : undefined;
  if (block?.type === 'text' && typeof block.text === 'string') block.text = block.text.trimEnd();
}
