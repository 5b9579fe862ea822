import type { Outcome } from '../../call/inspect.ts';
import { SignInRequired } from '../../upstreams/authorization.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';

/** How long a call waits for its person to come back from the page: most clients give a call a minute in all. */
const finishWithinMs = 45_000;

/** Whether the client can send its person to a page (URL mode of elicitation). An empty object means forms only. */
export function canVisit({ elicitation }: JsonObject): boolean {
  return isObject(elicitation) && isObject(elicitation.url);
}

/** What `elicitation/create` asks for (MCP client/elicitation, URL mode). */
export function visitOf({ url, message }: SignInRequired): JsonObject {
  return { mode: 'url', url, message };
}

/** Makes the call of somebody who has agreed to sign in: `accept` means that the page was opened, not that it is done with. */
export async function callSignedIn(attempt: () => Promise<Outcome>, cancel: Cancel): Promise<Outcome> {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof SignInRequired) || !(await error.finished(finishWithinMs, cancel))) throw error;
    return await attempt();
  }
}
