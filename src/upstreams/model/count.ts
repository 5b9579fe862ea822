import { providerDialects } from '../../models/dialects.ts';
import { estimateTokens } from '../../models/tokens.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { attemptAll } from './attempt-all.ts';
import { type HeldMark, withOwnIds } from './held-marks.ts';
import { placeOf } from './held-response.ts';
import { refuseHosted } from './hosted-tools.ts';
import type { ModelCallPorts } from './model-calls.ts';
import { none, readBody } from './read-answer.ts';
import { refuseElsewhere } from './request-body.ts';

const operation = { kind: 'count', dialect: 'messages' } as const;

/** Tokens of a prompt, in Anthropic's shape: as the provider counts them where it can, else as they are estimated. */
export function count(ports: ModelCallPorts, call: UpstreamCall, body: JsonObject, held: readonly HeldMark[]): Promise<Answer> {
  return attemptAll(ports, call, { dialect: 'messages', body, held }, async (target, course): Promise<Answer> => {
    const messages = providerDialects.get('messages');
    if (messages === undefined || !target.speaks('messages') || !target.can(operation)) return estimated(body);
    // To count the tools of a server, a provider connects to it.
    refuseHosted(body, 'messages', ports.transport.hostedTools, ports.id);
    refuseElsewhere(body, 'messages', ports.id);
    course.isFree = true;
    const answer = await target.send(
      {
        operation,
        isStream: false,
        body: course.sends(
          withOwnIds(Buffer.from(JSON.stringify({ ...body, model: target.config.model })), held, () =>
            placeOf(ports, call, target),
          ),
        ),
        firstByteMs: course.firstByteMs,
        sinkFor: none,
      },
      call,
    );
    const counted = readBody(answer, target, messages);
    if (!isObject(counted) || typeof counted.input_tokens !== 'number') return estimated(body);
    return { kind: 'reply', body: answer.body, headers: {} };
  });
}

function estimated(body: JsonObject): Answer {
  return { kind: 'reply', body: Buffer.from(JSON.stringify({ input_tokens: estimateTokens(body, 'messages') })), headers: {} };
}
