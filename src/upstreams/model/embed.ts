import { GatewayError } from '../../errors.ts';
import { bedrockEmbeddings } from '../../models/converse/embeddings.ts';
import type { EmbeddingDialect } from '../../models/embedding-dialect.ts';
import { geminiEmbeddings, vertexEmbeddings } from '../../models/gemini/embeddings.ts';
import { noUsage } from '../../models/reply.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { attemptAll } from './attempt-all.ts';
import type { AttemptCourse } from './attempt-course.ts';
import type { ModelCallPorts } from './model-calls.ts';
import type { OpenTarget } from './open-target.ts';
import type { ProviderName } from './provider.ts';
import { dialectOf, none, readBody } from './read-answer.ts';
import { refuseElsewhere } from './request-body.ts';

/** By provider; all others take OpenAI's request as it is. */
const shapes: Partial<Record<ProviderName, EmbeddingDialect>> = {
  gemini: geminiEmbeddings,
  vertex: vertexEmbeddings,
  bedrock: bedrockEmbeddings,
};

/** Answers a request for embeddings as OpenAI does. */
export function embed(ports: ModelCallPorts, call: UpstreamCall, body: JsonObject): Promise<Answer> {
  return attemptAll(ports, call, { dialect: 'embeddings', body }, async (target, course) => {
    const answer = await embedWith(target, course, call, body, ports.id);
    return { kind: 'reply', body: answer, headers: {} };
  });
}

async function embedWith(
  target: OpenTarget,
  course: AttemptCourse,
  call: UpstreamCall,
  body: JsonObject,
  id: string,
): Promise<Buffer> {
  const { model, provider } = target.config;
  if (!target.can({ kind: 'embed' }))
    throw new GatewayError('invalid_request', 'This model makes no embeddings; GET /v1/models says which ones do.');
  const shape = shapes[provider];
  if (shape === undefined) {
    refuseElsewhere(body, 'chat', id);
    const answer = await send(target, course, call, { ...body, model });
    const { usage } = readBody(answer, target, dialectOf(target.dialects[0]));
    const input = isObject(usage) && typeof usage.prompt_tokens === 'number' ? Math.max(0, usage.prompt_tokens) : 0;
    course.took({ ...noUsage, input }, 'stop', undefined);
    return answer.body;
  }
  const answers: JsonObject[] = [];
  for (const request of shape.writeRequests(body, model))
    answers.push(readBody(await send(target, course, call, request), target, dialectOf(target.dialects[0])));
  const reply = shape.readReplies(answers, body, model);
  course.took({ ...noUsage, input: reply.inputTokens ?? 0 }, 'stop', undefined);
  return Buffer.from(JSON.stringify(reply.body));
}

function send(target: OpenTarget, course: AttemptCourse, call: UpstreamCall, body: JsonObject) {
  return target.send(
    {
      operation: { kind: 'embed' },
      isStream: false,
      body: course.sends(Buffer.from(JSON.stringify(body))),
      firstByteMs: course.firstByteMs,
      sinkFor: none,
    },
    call,
  );
}
