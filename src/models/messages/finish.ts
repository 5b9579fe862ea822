import type { Finish } from '../reply.ts';

const finishes: Readonly<Record<string, Finish>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  pause_turn: 'pause',
  refusal: 'refusal',
};

export function readFinish(stopReason: unknown): Finish {
  return typeof stopReason === 'string' && Object.hasOwn(finishes, stopReason) ? (finishes[stopReason] ?? 'other') : 'other';
}

const stopReasons: Readonly<Record<Finish, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  refusal: 'refusal',
  pause: 'pause_turn',
  other: 'end_turn',
};

/** A client goes on with a tool's result only where it reads `tool_use`; some providers say `stop` there. */
export function writeStopReason(finish: Finish, hasToolCalls: boolean, stopSequence: string | undefined): string {
  if (finish === 'stop' && hasToolCalls) return 'tool_use';
  if (finish === 'stop' && stopSequence !== undefined) return 'stop_sequence';
  return stopReasons[finish];
}
