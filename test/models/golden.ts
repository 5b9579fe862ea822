import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ReplyFacts } from '../../src/models/dialect.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { emptyPrompt } from '../support/prompts.ts';

export const goldenFacts: ReplyFacts = {
  model: 'models/fast',
  id: '0123456789abcdef',
  createdAtMs: 1_790_000_000_123,
  streamsUsage: true,
  prompt: emptyPrompt,
};

/** `golden/<kind>-*.json` of one dialect: what is said of the wire format, and what it comes to on our side. */
export function goldenFiles(dialect: string, kind: string): readonly (readonly [string, JsonObject])[] {
  const folder = fileURLToPath(new URL(`${dialect}/golden/`, import.meta.url));
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${kind}-`))
    .map((name) => [name, JSON.parse(readFileSync(folder + name, 'utf8'))]);
}
