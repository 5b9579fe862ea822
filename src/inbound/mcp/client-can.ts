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
  // An empty object means forms only (MCP 2025-11-25 client/elicitation).
  if (method === 'elicitation/create' && params.mode === 'url' && !isObject(capability.url))
    throw missing('elicitation.url', method);
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
