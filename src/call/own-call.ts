import { modelsPlace } from '../catalog/catalog.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';
import { type Caller, makeCaller } from './authenticate/caller.ts';
import { nobody } from './authenticate/key-ring.ts';
import type { Outcome } from './inspect.ts';
import { silentConversation } from './silent-conversation.ts';

/** Makes one call in the name of the gateway itself. */
export type CallModel = (caller: Caller, ask: Ask) => Promise<Outcome>;

/** The gateway itself, for what it calls models for: limited and on record like any other caller. */
export function ownCaller(purpose: 'judge' | 'cache'): Caller {
  return makeCaller({ ...nobody, id: `gateway:${purpose}`, kind: 'gateway' });
}

/** A request of the gateway's own. Nobody judges it: a policy for all models is for the judge as well. */
export function ownAsk(caller: Caller, model: string, dialect: string, body: JsonObject, cancel: Cancel): Ask {
  return {
    door: 'http',
    era: 'modern',
    toolbox: modelsPlace,
    method: 'models/call',
    params: { name: model, dialect, arguments: body },
    meta: undefined,
    client: { principal: caller.id, session: undefined, capabilities: {} },
    conversation: silentConversation,
    retry: undefined,
    cancel,
    ip: '',
    traceHeaders: undefined,
    bytesIn: JSON.stringify(body).length,
    isJudging: true,
  };
}
