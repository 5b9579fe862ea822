import { createHmac } from 'node:crypto';
import type { Logger } from 'pino';
import { type Approvals, openApprovals } from '../call/approve/approvals.ts';
import type { SignedDecisions } from '../call/approve/signed-decisions.ts';
import { deciderOf, standingOf } from '../call/approve/standing.ts';
import { callerOfMember } from '../call/authenticate/token-callers.ts';
import { type Clock, systemSteadyClock } from '../clock.ts';
import type { Notifier } from '../notify/notify.ts';
import type { Policies } from '../policy/policy.ts';
import type { Settings } from '../settings.ts';
import type { Identities } from './identities.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';

interface DecisionPorts {
  readonly settings: Settings;
  readonly kept: Pick<Kept, 'store' | 'sealing' | 'registry' | 'secrets' | 'journal'>;
  readonly identities: Identities;
  readonly address: OwnAddress;
  readonly notifier: Notifier;
  readonly policies: () => Policies;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Calls that wait for a person. */
export function openGatewayApprovals(ports: DecisionPorts): Approvals {
  const { kept, identities, address, notifier, policies, clock, log } = ports;
  const people = { ...identities, registry: kept.registry };
  return openApprovals({
    store: kept.store.approvals,
    key: createHmac('sha256', kept.sealing.requestState).update('approvals').digest(),
    journal: kept.journal,
    notifier,
    policies,
    standing: (decider) => standingOf(people, decider),
    deciderOf: (caller) => deciderOf(people, caller),
    holdersOf: (key) => identities.keys.holdersOf(key),
    pageUrl: address.publicUrl,
    clock,
    steady: systemSteadyClock,
    log,
  });
}

/** Decisions by signed requests, where the settings ask for them. */
export async function openDecisionsBySignature(
  { settings: { notify }, kept, address, clock }: Pick<DecisionPorts, 'settings' | 'kept' | 'address' | 'clock'>,
  approvals: Approvals,
): Promise<SignedDecisions | undefined> {
  const settings = notify.webhook?.decisions;
  if (settings === undefined) return undefined;
  const { openSignedDecisions } = await import('../call/approve/signed-decisions.ts');
  return openSignedDecisions({
    settings,
    approvals,
    key: createHmac('sha256', kept.sealing.requestState).update('decision tokens').digest(),
    resolveSecret: (text) => kept.secrets.resolve(text),
    callerOf: (member) => callerOfMember(kept.registry, member),
    pageUrl: address.publicUrl,
    journal: kept.journal,
    clock,
  });
}
