import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';

/** What may be asked of a client, and the capability it must have declared for it. */
const needs: Readonly<Record<string, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
};

/** Throws GatewayError `missing_client_capability` where the client did not say that it can answer this. */
export function checkClientCan(capabilities: JsonObject, method: string, params: JsonObject): void {
  const name = needs[method];
  const capability = name === undefined ? undefined : capabilities[name];
  if (name === undefined || !isObject(capability)) throw missing(name ?? method, method);
  checkPage(method === 'elicitation/create' ? params : {});
  // An empty object means forms only (MCP 2025-11-25 client/elicitation).
  if (method === 'elicitation/create' && params.mode === 'url' && !isObject(capability.url))
    throw missing('elicitation.url', method);
}

/** Questions one answer may carry. */
const maxQuestions = 32;

/**
 * Checks what an upstream asks in one round (MCP 2026-07-28 basic/patterns/mrtr) before its client sees it.
 * Throws GatewayError `missing_client_capability`, or `upstream_failed` for what must not be asked at all.
 */
export function checkQuestions(capabilities: JsonObject, questions: JsonObject): void {
  const asked = Object.values(questions);
  if (asked.length > maxQuestions) throw new GatewayError('upstream_failed', 'The upstream asks too many questions at once.');
  for (const question of asked) {
    if (!isObject(question) || typeof question.method !== 'string' || needs[question.method] === undefined) {
      throw new GatewayError('upstream_failed', 'The upstream asks the client for something that is not a question.');
    }
    const params = isObject(question.params) ? question.params : {};
    checkClientCan(capabilities, question.method, params);
    checkPage(params);
  }
}

/** A page that a person is sent to must be one: `javascript:` and its kin run code in whoever opens them. */
function checkPage({ mode, url }: JsonObject): void {
  if (mode !== 'url' || (typeof url === 'string' && /^https?:\/\//i.test(url) && URL.canParse(url))) return;
  throw new GatewayError('upstream_failed', 'The upstream sends the client to an address that is not a web page.');
}

function missing(capability: string, method: string): GatewayError {
  const [name = capability, mode] = capability.split('.');
  return new GatewayError(
    'missing_client_capability',
    `The client cannot answer ${method}: it did not declare "${capability}".`,
    {
      data: { requiredCapabilities: { [name]: mode === undefined ? {} : { [mode]: {} } } },
    },
  );
}
