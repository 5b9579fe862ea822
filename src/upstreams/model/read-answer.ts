import { GatewayError } from '../../errors.ts';
import { type ProviderDialect, ReplyError } from '../../models/dialect.ts';
import { providerDialects } from '../../models/dialects.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { blankOut } from '../blank-out.ts';
import { readRetryAfter } from '../retry-after.ts';
import type { OpenTarget } from './open-target.ts';
import type { BodySink, ProviderAnswer, ProviderHead } from './provider-exchange.ts';
import { ProviderFailed } from './stream-meter.ts';

export function none(): undefined {
  return undefined;
}

/** A refusal is read as a whole; what is no stream of events is no answer in parts. */
export function forStream(sink: BodySink, { provider }: OpenTarget): (head: ProviderHead) => BodySink | undefined {
  return ({ status, headers }) => {
    if (status >= 300) return undefined;
    const type = headers['content-type'] ?? '';
    const wanted = provider.framing === 'sse' ? 'text/event-stream' : 'application/vnd.amazon.eventstream';
    if (!type.startsWith(wanted))
      throw new ReplyError(`its answer is ${type.slice(0, 100) || 'of no type'}, and no stream of events`);
    return sink;
  };
}

/** Throws ProviderFailed for a refusal, and ReplyError for what is no JSON object. Secrets are blanked out in place. */
export function readBody(
  answer: ProviderAnswer,
  { secrets }: OpenTarget,
  dialect: Pick<ProviderDialect, 'readFailure'>,
): JsonObject {
  const { status, headers, body } = answer;
  blankOut(body, secrets);
  const read = parseObject(body);
  if (status >= 200 && status < 300 && read !== undefined && !isObject(read.error)) return read;
  if (status < 300 && read === undefined) throw new ReplyError('its answer is no JSON object');
  if (status >= 300 && status < 400) throw new ReplyError(`it answered HTTP ${status}`);
  const failure = dialect.readFailure(status < 300 ? 502 : status, read);
  throw new ProviderFailed({ ...failure, retryAfterMs: readRetryAfter(headers['retry-after']) ?? failure.retryAfterMs });
}

function parseObject(body: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function dialectOf(name: OpenTarget['dialects'][number] | undefined): ProviderDialect {
  const dialect = name === undefined ? undefined : providerDialects.get(name);
  if (dialect === undefined) throw new GatewayError('bad_configuration', `There is no dialect "${name}" to speak to providers.`);
  return dialect;
}
