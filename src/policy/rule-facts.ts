/** What a rule may look at besides the arguments of a call. */
import type { JsonObject } from '../wire/json.ts';
import { isPrivateAddress } from './network.ts';
import type { Value } from './rule-value.ts';

/** Texts are empty where there is no such thing: a member has no consumer, a local process no address. */
export interface Facts {
  readonly caller: {
    readonly id: string;
    /** `key`, `oauth` or `local`. */
    readonly kind: string;
    readonly roles: readonly string[];
    /** The highest of `roles`. */
    readonly role: string;
    readonly consumer: string;
    readonly member: string;
    readonly key: string;
    /** Of the token that proved the identity. */
    readonly claims?: JsonObject | undefined;
  };
  readonly capability: {
    readonly name: string;
    readonly namespace: string;
    readonly upstream: string;
    /** `model`, or `tool` for everything else. */
    readonly kind: string;
    /** `tools/call`, ... */
    readonly method: string;
  };
  /** Of the client, as `clientAddress` found it. */
  readonly ip: string;
  readonly nowMs: number;
}

interface Fact {
  /** In CEL's words. */
  readonly type: string;
  /** All that it can be, where that is known; it may be empty besides. */
  readonly values?: readonly string[];
  readonly read: (facts: Facts) => Value;
}

const noClaims = {};
const roles = ['admin', 'approver', 'developer', 'auditor'];
const methods = ['tools/call', 'prompts/get', 'resources/read', 'completion/complete', 'models/call'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const dayMs = 86_400_000;

/** Every variable but `args`, with its members. */
export const factTable: Readonly<Record<string, Readonly<Record<string, Fact>>>> = {
  caller: {
    id: { type: 'string', read: ({ caller }) => caller.id },
    kind: { type: 'string', values: ['key', 'oauth', 'local'], read: ({ caller }) => caller.kind },
    roles: { type: 'list<string>', values: roles, read: ({ caller }) => caller.roles },
    role: { type: 'string', values: roles, read: ({ caller }) => caller.role },
    consumer: { type: 'string', read: ({ caller }) => caller.consumer },
    member: { type: 'string', read: ({ caller }) => caller.member },
    key: { type: 'string', read: ({ caller }) => caller.key },
    claims: { type: 'map<string, dyn>', read: ({ caller }) => caller.claims ?? noClaims },
  },
  capability: {
    name: { type: 'string', read: ({ capability }) => capability.name },
    namespace: { type: 'string', read: ({ capability }) => capability.namespace },
    upstream: { type: 'string', read: ({ capability }) => capability.upstream },
    kind: { type: 'string', values: ['tool', 'model'], read: ({ capability }) => capability.kind },
    method: { type: 'string', values: methods, read: ({ capability }) => capability.method },
  },
  network: {
    ip: { type: 'string', read: ({ ip }) => ip },
    isPrivate: { type: 'bool', read: ({ ip }) => isPrivateAddress(ip) },
  },
  // All in UTC, so that every replica says the same; `time.now.getHours("Europe/Berlin")` is the clock somewhere else.
  time: {
    now: { type: 'google.protobuf.Timestamp', read: ({ nowMs }) => new Date(nowMs) },
    hour: { type: 'int', read: ({ nowMs }) => BigInt(Math.floor((nowMs % dayMs) / 3_600_000)) },
    weekday: { type: 'string', values: weekdays, read: ({ nowMs }) => weekdays[new Date(nowMs).getUTCDay()] ?? '' },
    /** `HH:MM`: times of a day compare as texts. */
    utc: { type: 'string', read: ({ nowMs }) => new Date(nowMs).toISOString().slice(11, 16) },
  },
};
