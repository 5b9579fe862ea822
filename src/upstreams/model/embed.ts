import { GatewayError } from '../../errors.ts';
import type { ProviderDialect } from '../../models/dialect.ts';
import { providerDialects } from '../../models/dialects.ts';
import { noUsage } from '../../models/reply.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { type AttemptCourse, attemptAll, type ModelCallPorts, none, readBody } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import type { ProviderName } from './provider.ts';

/** How a provider that is not OpenAI-shaped is asked for embeddings. */
interface EmbeddingShape {
  /** In order. Throws GatewayError `invalid_request`. */
  writeRequests(body: JsonObject, model: string): readonly JsonObject[];
  /** Throws ReplyError. */
  readReplies(
    answers: readonly JsonObject[],
    body: JsonObject,
    model: string,
  ): { readonly body: JsonObject; readonly inputTokens: number | undefined };
}

/** By provider; all others take OpenAI's request as it is. */
const shapes: Partial<Record<ProviderName, EmbeddingShape>> = {};

/** Answers a request for embeddings as OpenAI does. */
export function embed(ports: ModelCallPorts, call: UpstreamCall, body: JsonObject): Promise<Answer> {
  return attemptAll(ports, call, { dialect: 'embeddings', body }, async (target, course) => {
    const answer = await embedWith(target, course, call, body);
    return { kind: 'reply', body: answer, headers: {} };
  });
}

async function embedWith(target: OpenTarget, course: AttemptCourse, call: UpstreamCall, body: JsonObject): Promise<Buffer> {
  const { model, provider } = target.config;
  if (!target.can({ kind: 'embed' }))
    throw new GatewayError('invalid_request', 'This model makes no embeddings; GET /v1/models says which ones do.');
  const shape = shapes[provider];
  if (shape === undefined) {
    const answer = await send(target, course, call, { ...body, model });
    const { usage } = readBody(answer, target, failuresOf(target));
    const input = isObject(usage) && typeof usage.prompt_tokens === 'number' ? Math.max(0, usage.prompt_tokens) : 0;
    course.took({ ...noUsage, input }, 'stop', undefined);
    return answer.body;
  }
  const answers: JsonObject[] = [];
  for (const request of shape.writeRequests(body, model))
    answers.push(readBody(await send(target, course, call, request), target, failuresOf(target)));
  const reply = shape.readReplies(answers, body, model);
  course.took({ ...noUsage, input: reply.inputTokens ?? 0 }, 'stop', undefined);
  return Buffer.from(JSON.stringify(reply.body));
}

function send(target: OpenTarget, course: AttemptCourse, call: UpstreamCall, body: JsonObject) {
  course.wasHeard = true;
  return target.send(
    {
      operation: { kind: 'embed' },
      isStream: false,
      body: Buffer.from(JSON.stringify(body)),
      firstByteMs: course.firstByteMs,
      sinkFor: none,
    },
    call,
  );
}

/** What the provider says of failures does not depend on what it was asked for. */
function failuresOf({ dialects: [first] }: OpenTarget): Pick<ProviderDialect, 'readFailure'> {
  const dialect = first === undefined ? undefined : providerDialects.get(first);
  if (dialect === undefined) throw new GatewayError('bad_configuration', 'The target speaks no dialect.');
  return dialect;
}
