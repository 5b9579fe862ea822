import type { Message, OfferedTool, Prompt } from '../../src/models/prompt.ts';

/** One that says nothing. */
export const emptyPrompt: Prompt = {
  model: 'models/fast',
  system: [],
  messages: [],
  tools: [],
  toolChoice: undefined,
  parallelTools: undefined,
  maxTokens: undefined,
  temperature: undefined,
  topP: undefined,
  topK: undefined,
  stop: [],
  seed: undefined,
  presencePenalty: undefined,
  frequencyPenalty: undefined,
  format: { kind: 'text' },
  reasoning: undefined,
  isStream: false,
  user: undefined,
};

export function say(text: string): Message {
  return { role: 'user', parts: [{ kind: 'text', text }] };
}

/** A prompt that says `Hello`, but for what is given. */
export function promptOf(given: Partial<Prompt>): Prompt {
  return { ...emptyPrompt, messages: [say('Hello')], ...given };
}

export const weatherTool: OfferedTool = {
  name: 'get_weather',
  description: 'Weather of a city',
  schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  isStrict: undefined,
};
