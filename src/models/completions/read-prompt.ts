import type { Json, JsonObject } from '../../wire/json.ts';
import { readSampling, readStop, refuseManyAnswers } from '../chat/read-prompt.ts';
import { needText, readBoolean, readInteger, readText, refuse } from '../members.ts';
import type { Prompt } from '../prompt.ts';

/** A request to `/v1/completions`: one text to go on from. It becomes what a user says. */
export function readCompletionsPrompt(body: JsonObject): Prompt {
  refuseManyAnswers(body);
  if ((readInteger(body, 'best_of', 0) ?? 1) > 1)
    refuse('best_of', "must be 1: this model's provider gives one answer to a request");
  if (readBoolean(body, 'echo') === true) refuse('echo', 'must be false: this model only answers');
  if ((readText(body, 'suffix') ?? '') !== '') refuse('suffix', 'must be empty: this model only goes on from a text');
  return {
    model: needText(body, 'model'),
    system: [],
    messages: [{ role: 'user', parts: [{ kind: 'text', text: readPromptText(body.prompt) }] }],
    tools: [],
    toolChoice: undefined,
    parallelTools: undefined,
    maxTokens: readInteger(body, 'max_tokens', 1),
    ...readSampling(body),
    stop: readStop(body),
    format: { kind: 'text' },
    reasoning: undefined,
    isStream: readBoolean(body, 'stream') === true,
    user: readText(body, 'user'),
  };
}

function readPromptText(prompt: Json | undefined): string {
  if (typeof prompt === 'string') return prompt;
  if (!Array.isArray(prompt)) refuse('prompt', 'is required and must be a string');
  const [first] = prompt;
  if (typeof first === 'number' || Array.isArray(first))
    refuse('prompt', "must be text: tokens mean nothing to this model's provider");
  if (typeof first !== 'string') refuse('prompt', 'must be a string');
  if (prompt.length > 1) refuse('prompt', "must be one text: this model's provider answers one at a time");
  return first;
}
