import { type Catalog, modelsPlace } from '../../catalog/catalog.ts';
import { GatewayError } from '../../errors.ts';
import type { Gate } from '../../policy/gate.ts';
import type { StoredApproval } from '../../store/ports/approvals.ts';
import type { JsonObject } from '../../wire/json.ts';
import { gatesOver } from '../approve.ts';
import type { Caller } from '../authenticate.ts';
import { authorize } from '../authorize.ts';
import { type CallPorts, circumstancesOf } from '../call.ts';
import { peek } from '../limit.ts';
import { resolve } from '../resolve.ts';
import { type Screened, screen } from '../screen.ts';

/**
 * The call of a request with other arguments: it passes what its caller's own call would pass, and nothing is used up. Throws the
 * GatewayErrors of those steps.
 */
export async function amendedCall(
  ports: CallPorts,
  catalog: Catalog,
  requester: Caller,
  { toolbox, tool }: Pick<StoredApproval, 'toolbox' | 'tool'>,
  args: JsonObject,
): Promise<{ readonly screened: Screened; readonly gates: readonly Gate[] }> {
  if (toolbox === modelsPlace)
    throw new GatewayError(
      'conflict',
      'A call of a model is agreed to as it is, or not at all: deny it, and say what it should be.',
    );
  const ask = { toolbox, method: 'tools/call', params: { name: tool, arguments: args } } as const;
  // Where it comes from is looked at when its caller makes it.
  const permit = authorize(circumstancesOf(ports, ''), requester, resolve(catalog, ask), ask);
  const { admission } = await peek(ports.counters, permit);
  const screened = await screen(ports.checks, admission, undefined, ports.checkAction);
  return { screened, gates: await gatesOver(ports.sightings, screened, '', ports.clock.nowMs()) };
}
