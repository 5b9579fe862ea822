import type { ApprovalStore } from './ports/approvals.ts';
import type { AuditIndex } from './ports/audit-index.ts';
import type { BudgetRows } from './ports/budgets.ts';
import type { CredentialStore } from './ports/credentials.ts';
import type { DefinitionStore } from './ports/definitions.ts';
import type { KeyedCalls } from './ports/keyed-calls.ts';
import type { KeyStore, KeyUses } from './ports/keys.ts';
import type { MasterKeys } from './ports/master-keys.ts';
import type { ModelRecords } from './ports/model-records.ts';
import type { NoticeStore } from './ports/notices.ts';
import type { ReachStatus } from './ports/reach.ts';
import type { RegistryStore } from './ports/registry.ts';
import type { RollUps } from './ports/roll-ups.ts';
import type { SealingKeyStore } from './ports/sealing-keys.ts';
import type { SecretVault } from './ports/secret-vault.ts';
import type { SessionStore } from './ports/sessions.ts';
import type { SightingRows } from './ports/sightings.ts';
import type { UpstreamMemory } from './ports/upstream-memory.ts';

/** What Gatehouse keeps. Every store implements these and passes test/contracts/store.contract.ts. All times are ms since 1970. */
export interface Store {
  readonly keys: KeyStore;
  readonly sealing: SealingKeyStore;
  readonly upstreams: UpstreamMemory;
  readonly sessions: SessionStore;
  readonly registry: RegistryStore;
  readonly keyUses: KeyUses;
  readonly vault: SecretVault;
  readonly masterKeys: MasterKeys;
  readonly rollUps: RollUps;
  readonly budgets: BudgetRows;
  readonly audit: AuditIndex;
  readonly credentials: CredentialStore;
  readonly approvals: ApprovalStore;
  readonly definitions: DefinitionStore;
  readonly models: ModelRecords;
  readonly notices: NoticeStore;
  readonly sightings: SightingRows;
  readonly keyedCalls: KeyedCalls;
  /** Of a server; not there for a file. */
  reach?(): ReachStatus;
  close(): Promise<void>;
}
