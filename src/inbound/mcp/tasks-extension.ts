import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';

/** The Tasks extension of the modern era (SEP-2663). */
export const tasksExtension = 'io.modelcontextprotocol/tasks';

export function declaresTasks({ extensions }: JsonObject): boolean {
  return isObject(extensions) && isObject(extensions[tasksExtension]);
}

/** Throws GatewayError `missing_client_capability` where the client did not declare the extension. */
export function checkDeclaresTasks(capabilities: JsonObject): void {
  if (declaresTasks(capabilities)) return;
  throw new GatewayError('missing_client_capability', `The client did not declare the extension "${tasksExtension}".`, {
    data: { requiredCapabilities: { extensions: { [tasksExtension]: {} } } },
  });
}
