import type { Logger } from 'pino';
import { z } from 'zod';
import type { ArgumentChecks } from '../arguments/argument-check.ts';
import type { Approvals } from '../call/approve/approvals.ts';
import type { KeyRing } from '../call/authenticate/key-ring.ts';
import type { Caller } from '../call/authenticate.ts';
import type { CallPorts } from '../call/call.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { NamespaceConfig } from '../catalog/namespace-config.ts';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { TrustedIssuer } from '../identity/issuers.ts';
import type { Journal } from '../journal/journal.ts';
import type { JournalReport } from '../journal/verify-journal.ts';
import type { Notifier } from '../notify/notify.ts';
import type { Policies } from '../policy/policy.ts';
import type { RoleGrant } from '../registry/documents.ts';
import type { Registry } from '../registry/registry.ts';
import type { SecretValues } from '../registry/secret-values.ts';
import type { Pins } from '../review/pins.ts';
import type { AuditHead, AuditIndex } from '../store/ports/audit-index.ts';
import type { Counters } from '../store/ports/counters.ts';
import type { CredentialStore } from '../store/ports/credentials.ts';
import type { DefinitionStore } from '../store/ports/definitions.ts';
import type { KeyUses } from '../store/ports/keys.ts';
import type { ModelRecords } from '../store/ports/model-records.ts';
import type { RegistryStore } from '../store/ports/registry.ts';
import type { RollUps } from '../store/ports/roll-ups.ts';
import type { SecretVault } from '../store/ports/secret-vault.ts';
import type { createGuardedFetch } from '../upstreams/guarded-fetch.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Cancel } from '../wire/cancel.ts';
import type { ShownStatus } from './status-for.ts';

/** What actions work on. */
export interface AdminPorts {
  /** By which way this action was asked for. */
  readonly door: 'mcp' | 'rest' | 'cli';
  /** Of the call that asked for it. */
  readonly trace: string | undefined;
  /** Of that call, too: whoever asked has gone, or has waited long enough. */
  readonly cancel: Pick<Cancel, 'onCancel'>;
  readonly registry: Registry;
  readonly changeRecords: RegistryStore['changeRecords'];
  readonly vault: SecretVault;
  readonly secrets: SecretValues;
  /** What people granted for upstreams, sealed. */
  readonly grants: Pick<CredentialStore, 'listGrants' | 'removeGrants'>;
  /** What documents of the registry point to: definitions, submissions, assessments. */
  readonly definitions: DefinitionStore;
  readonly pins: Pins;
  readonly notifier: Notifier;
  /** Address of this gateway, without a path, as clients know it. */
  readonly ownUrl: () => string;
  readonly keys: KeyRing;
  readonly keyUses: KeyUses;
  readonly catalog: () => Catalog;
  /** What the files declare: it can be looked at here and changed there. */
  readonly files: () => readonly NamespaceConfig[];
  readonly policies: () => Policies;
  /** Whose tokens are taken, and what their claims mean here. */
  readonly issuers: readonly TrustedIssuer[];
  readonly calls: CallPorts;
  readonly approvals: Approvals;
  readonly counters: Counters;
  readonly checks: ArgumentChecks;
  readonly rollUps: { readonly query: RollUps['query']; readonly flush: () => Promise<void> };
  readonly models: { readonly records: ModelRecords; readonly flush: () => Promise<void> };
  readonly audit: AuditIndex;
  readonly journal: Journal;
  readonly dataDir: string;
  /** Checks this process' journal, with its key, against what the index and these heads remember. */
  readonly verifyJournal: (heads: readonly AuditHead[]) => Promise<JournalReport>;
  /**
   * Makes an upstream that nobody can call, to try a registration out; close it afterwards. Addresses are guarded as the setting says.
   * `document` is the API description, where its kind has one.
   */
  readonly tryUpstream: (config: UpstreamConfig, document?: Buffer) => Upstream;
  /** What a tried API would change of the running one, one line each; undefined for other kinds. */
  readonly compareUpstreams: (running: Upstream, tried: Upstream) => readonly string[] | undefined;
  /** Fetches what an address from outside names; reaches only what may be reached, and follows nothing. */
  readonly fetchDocument: ReturnType<typeof createGuardedFetch>;
  readonly namespacesDir: string;
  /** Commands that may be registered at run time: each an exact list of words. */
  readonly allowedCommands: readonly (readonly string[])[];
  readonly status: () => ShownStatus;
  /** Groups of words that mean the same here. */
  readonly synonyms: readonly (readonly string[])[];
  /** Resolves when what was committed is in effect in this process. */
  readonly refreshed: () => Promise<void>;
  /** Resolves when these upstreams have offered something or failed to, and the catalog shows it, or when the time is over. */
  readonly settled: (upstreams: readonly string[], withinMs: number) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What actions work on, whoever asked for one. */
export type LastingPorts = Omit<AdminPorts, 'door' | 'trace' | 'cancel'>;

/** Everything that an operator can do is defined once, as one of these; its MCP tool, REST route and command are made from it. */
export interface Action {
  /** `create_key`. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Who sees it: whoever has one of these, in any namespace. What it may be done to is for `run` to say. */
  readonly roles: readonly RoleGrant['role'][];
  readonly isReadOnly: boolean;
  /** It connects to what its caller names, or starts it: it is done with a record or not at all, though nothing here is changed. */
  readonly reachesOut?: boolean;
  /** `POST /keys/{id}/rotate`; what is not in the path is the body, or the query of a GET. */
  readonly route: string;
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /** `ip`: where the caller calls from; empty where there is no address. */
  readonly run: (ports: AdminPorts, caller: Caller, input: never, ip: string) => Promise<object>;
}

export { hasRole, namespacesOf, requireRole } from './roles.ts';

interface ActionDraft<Input extends z.ZodObject> extends Omit<Action, 'input' | 'run'> {
  readonly input: Input;
  readonly run: (ports: AdminPorts, caller: Caller, input: z.output<Input>, ip: string) => Promise<object>;
}

export function defineAction<Input extends z.ZodObject>(draft: ActionDraft<Input>): Action {
  return Object.freeze(draft) as unknown as Action;
}

export const noInput = z.strictObject({});

/** Throws GatewayError `not_found` in the words of every door. */
export function notThere(what: string, id: string, hint = 'List them to see what there is.'): GatewayError {
  return new GatewayError('no_such_object', `There is no ${what} "${id.slice(0, 100)}". ${hint}`);
}
