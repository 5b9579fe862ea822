import type { Json } from '../../wire/json.ts';
import type { Finish } from '../reply.ts';

/** What else is known of the answer when it ends. */
interface FinishFacts {
  readonly hasCalls: boolean;
  readonly hasRefusal: boolean;
}

/** Of `finish_reason`. A call that was forced ends with `stop`, and so does every call with some servers. */
export function readFinish(reason: Json | undefined, { hasCalls, hasRefusal }: FinishFacts): Finish {
  switch (reason) {
    case 'length':
    case 'max_tokens':
    case 'model_length':
      return 'length';
    case 'content_filter':
      return 'content-filter';
    case 'tool_calls':
    case 'function_call':
      return 'tool-calls';
    default:
      if (hasCalls) return 'tool-calls';
      if (hasRefusal) return 'refusal';
      return reason === 'stop' || reason === 'eos' || reason === 'end_turn' ? 'stop' : 'other';
  }
}

export function writeFinish(finish: Finish, hasRefusal: boolean): string {
  switch (finish) {
    case 'length':
      return 'length';
    case 'tool-calls':
      return 'tool_calls';
    case 'content-filter':
      return 'content_filter';
    case 'refusal':
      return hasRefusal ? 'stop' : 'content_filter';
    default:
      return 'stop';
  }
}
