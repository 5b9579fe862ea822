import type { JsonObject } from '../../wire/json.ts';
import { failureKind, shortMessage } from '../failure-kind.ts';
import { textAt } from '../read-members.ts';
import type { ProviderFailure } from '../reply.ts';

/** What stands in the place of an HTTP status in the middle of a stream (API reference, ConverseStream, Errors). */
const exceptions: Readonly<Record<string, number>> = {
  accessdenied: 403,
  expiredtoken: 403,
  unrecognizedclient: 403,
  incompletesignature: 403,
  invalidsignature: 403,
  missingauthenticationtoken: 403,
  internalserver: 500,
  internalfailure: 500,
  modelerror: 424,
  modelstreamerror: 424,
  modelnotready: 429,
  modeltimeout: 408,
  resourcenotfound: 404,
  servicequotaexceeded: 429,
  serviceunavailable: 503,
  throttling: 429,
  toomanyrequests: 429,
  validation: 400,
};

/** Of an event or error type, such as `throttlingException`; undefined for one that is no failure. */
export function exceptionStatus(type: string): number | undefined {
  const word = type.replace(/(?:Exception|Error)$/, '').toLowerCase();
  if (Object.hasOwn(exceptions, word)) return exceptions[word];
  return /(?:Exception|Error|Failure)$/.test(type) ? 500 : undefined;
}

export function readFailure(status: number, body: JsonObject | undefined): ProviderFailure {
  const message = shortMessage(textAt(body, 'message') ?? textAt(body, 'Message'), status);
  const code = shortType(textAt(body, '__type') ?? textAt(body, 'code'));
  return { status, kind: kindOf(status, code, message), message, code };
}

/** `ThrottlingException` of `com.amazon.coral.service#ThrottlingException:http://...`. */
function shortType(type: string | undefined): string | undefined {
  return /^(?:[^#]{0,200}#)?([A-Za-z]{1,80})/.exec(type ?? '')?.[1];
}

const tooLong =
  /input is too long|prompt is too long|too many input tokens|maximum context length|exceeds? the (?:model's )?(?:maximum|context)/i;

function kindOf(status: number, code: string | undefined, message: string): ProviderFailure['kind'] {
  // Signatures that are not good are bad requests to some of its addresses.
  const said = code === undefined ? undefined : exceptionStatus(code);
  if (said === 403 || said === 429) return failureKind(said);
  if (status === 400 && tooLong.test(message)) return 'too-long';
  if (status === 400 && /blocked by (?:our|the) content filter/i.test(message)) return 'content-filter';
  return failureKind(status);
}
