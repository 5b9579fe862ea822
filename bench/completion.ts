/** A chat completion as OpenAI's API has it on the wire (platform.openai.com/docs/api-reference/chat), for a prompt with a marker. */
import { firstId, marker } from './messages.ts';

/** Chunks of a streamed answer: one with the role, the words, one with the reason why it ended. */
export const chunks = 20;

export interface StreamShape {
  /** The provider was asked for the usage: each chunk has the member. */
  readonly hasUsage: boolean;
  /** The last chunk, which has the usage and nothing else, is there. */
  readonly endsWithUsage: boolean;
}

/** A text with the marker of a prompt wherever it belongs. */
type Fill = (of: string) => string;

const model = 'gpt-5-mini-2025-08-07';
const created = 1_764_115_200;
const sentences = [
  'The order left the warehouse on Monday and is on its way to Zoë in Köln.',
  'It should arrive within three working days; the carrier sends a message on the morning of the delivery.',
  'If nobody is at home, the parcel waits at the nearest shop for a week, and costs nothing more.',
  'A second parcel with the lamp follows as soon as it is in stock again, which takes about ten days.',
];
const usage = {
  prompt_tokens: 291,
  completion_tokens: 96,
  total_tokens: 387,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 0,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
};

/** A whole answer; `repeat` times the usual text. */
export function wholeAnswer(repeat = 1): Fill {
  const content = `${marker(firstId)} ${Array.from({ length: repeat }, () => sentences.join(' ')).join(' ')}`;
  const message = { role: 'assistant', content, refusal: null, annotations: [] };
  return fillable(
    `${JSON.stringify(
      {
        id: `chatcmpl-${marker(firstId)}`,
        object: 'chat.completion',
        created,
        model,
        choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
        usage,
        service_tier: 'default',
        system_fingerprint: null,
      },
      null,
      2,
    )}\n`,
  );
}

/** Of one stream, in order; `data: [DONE]` is the last. */
export function streamEvents({ hasUsage, endsWithUsage }: StreamShape): readonly Fill[] {
  const words = sentences.join(' ').split(/(?= )/u);
  const perChunk = words.length / (chunks - 2);
  const deltas = Array.from({ length: chunks - 2 }, (_, at) => {
    const text = words.slice(Math.round(at * perChunk), Math.round((at + 1) * perChunk)).join('');
    return { content: at === 0 ? `${marker(firstId)} ${text}` : text };
  });
  const event = (choices: readonly object[], used: object | null) =>
    `data: ${JSON.stringify({
      id: `chatcmpl-${marker(firstId)}`,
      object: 'chat.completion.chunk',
      created,
      model,
      service_tier: 'default',
      system_fingerprint: null,
      choices,
      ...(hasUsage ? { usage: used } : {}),
    })}\n\n`;
  const choice = (delta: object, finish: string | null = null) => [{ index: 0, delta, logprobs: null, finish_reason: finish }];
  return [
    event(choice({ role: 'assistant', content: '', refusal: null }), null),
    ...deltas.map((delta) => event(choice(delta), null)),
    event(choice({}, 'stop'), null),
    ...(endsWithUsage ? [event([], usage)] : []),
    'data: [DONE]\n\n',
  ].map(fillable);
}

/** A chunk that says when it was sent, for streams without an end. No content rule waits for what follows its words. */
export function timedEvent(sentUs: bigint): string {
  const choices = [{ index: 0, delta: { content: 'Yes.\n' }, logprobs: null, finish_reason: null }];
  return `data: ${JSON.stringify({ id: `${timed}${sentUs}`, object: 'chat.completion.chunk', created, model, choices })}\n\n`;
}

const timed = 'chatcmpl-sent-';

/** When the last chunk in these bytes was sent; undefined where none says so. */
export function sentUsIn(bytes: Buffer): number | undefined {
  const at = bytes.lastIndexOf(timed);
  if (at < 0) return undefined;
  const us = Number.parseInt(bytes.toString('latin1', at + timed.length, at + timed.length + 20), 10);
  return Number.isNaN(us) ? undefined : us;
}

/** The clock of the machine, which all of its processes share. */
export function machineUs(): bigint {
  return process.hrtime.bigint() / 1000n;
}

function fillable(text: string): Fill {
  const parts = text.split(marker(firstId));
  return (of) => parts.join(of);
}
