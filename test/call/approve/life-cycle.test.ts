import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Approvals, openApprovals } from '../../../src/call/approve/approvals.ts';
import type { Person } from '../../../src/call/approve/people.ts';
import { makeCaller } from '../../../src/call/authenticate/caller.ts';
import type { Screened } from '../../../src/call/screen.ts';
import { GatewayError } from '../../../src/errors.ts';
import { buildPolicies, type Policies } from '../../../src/policy/policy.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { askFor, readableJournal } from '../../support/call-ports.ts';

// Whatever happens, in whatever order: a call is made when and only when the model says that enough people who may agree to it have.

const isLong = process.env.TEST_LONG !== undefined;
const expiresMs = 60_000;

const people = {
  ann: { member: 'ann', roles: [{ role: 'developer' as const }] },
  ann2: { member: 'ann', roles: [{ role: 'approver' as const }] },
  bob: { member: 'bob', roles: [{ role: 'approver' as const, namespace: 'hr' }] },
  carl: { member: 'carl', roles: [{ role: 'admin' as const }] },
  eve: { member: 'eve', roles: [{ role: 'approver' as const, namespace: 'it' }] },
  app: { member: undefined, roles: [] },
};
type Name = keyof typeof people;
const names = Object.keys(people) as Name[];
const callerOf = (name: Name) =>
  makeCaller({ id: `key:${name}`, kind: 'key', key: name, consumer: name === 'app' ? 'shop' : undefined, ...people[name] });
/** Who may agree to a call of the other. */
const mayAgree = (requester: Name, name: Name) =>
  ['ann2', 'bob', 'carl'].includes(name) && people[requester].member !== people[name].member;

type Step =
  | { readonly kind: 'call'; readonly by: 'ann' | 'app'; readonly args: number }
  | { readonly kind: 'decide'; readonly by: Name; readonly verdict: 'approve' | 'deny'; readonly on: number }
  | { readonly kind: 'revoke' | 'restore'; readonly who: Name }
  | { readonly kind: 'wait' | 'turn back'; readonly ms: number }
  | { readonly kind: 'policy' | 'definition' | 'restart' };

const name = fc.constantFrom(...names);
const decider = fc.constantFrom<Name>('bob', 'carl', 'bob', 'carl', ...names);
const verdict = fc.constantFrom('approve', 'approve', 'approve', 'deny') as fc.Arbitrary<'approve' | 'deny'>;
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('call'), by: fc.constantFrom('ann', 'app'), args: fc.nat(1) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('decide'), by: decider, verdict, on: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('revoke', 'restore'), who: name }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('wait', 'turn back'), ms: fc.constantFrom(1_000, 59_000, 120_000) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('policy', 'definition', 'restart') }) },
) as fc.Arbitrary<Step>;

/** The small model: one call of one caller, as it stands. */
interface Wanted {
  readonly id: string;
  readonly requester: Name;
  state: 'pending' | 'approved' | 'denied' | 'over';
  readonly endsAtMs: number;
  readonly policy: number;
  readonly definition: number;
  readonly agreed: Set<Name>;
}

test('a call is made when, and only when, enough people who may have agreed to exactly it', { timeout: 600_000 }, async () => {
  const versions = await Promise.all(
    [1, 2].map((quorum) =>
      buildPolicies([{ scope: { kind: 'namespace', namespace: 'hr' }, policy: { gates: [{ quorum, expiresMs }] } }]),
    ),
  );
  let executions = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const store = memoryStore();
      const time = { wallMs: 1_800_000_000_000, steadyMs: 0 };
      const gone = new Set<Name>();
      let [policy, definition] = [0, 0];
      const policies = () => versions[policy % 2] as Policies;
      const open = (): Approvals =>
        openApprovals({
          store: store.approvals,
          key: Buffer.alloc(32, 7),
          journal: readableJournal([]),
          notifier: { notify() {} },
          policies,
          deciderOf: ({ id, key, consumer, member }) => ({ id, key, consumer, member, tokenRoles: [] }),
          holdersOf: () => [],
          standing: ({ key }): Person | undefined => (gone.has(key as Name) ? undefined : callerOf(key as Name)),
          pageUrl: () => undefined,
          clock: { nowMs: () => time.wallMs },
          steady: { steadyMs: () => time.steadyMs },
          log: pino({ level: 'silent' }),
        });
      let approvals = open();
      const tools = [0, 1].map((n) => ({ name: 'pay', description: `${n}`, inputSchema: {} }));
      const wanted = new Map<string, Wanted>();
      const all: Wanted[] = [];
      // What the gateway has ever known the time to be.
      let nowMs = time.wallMs;

      for (const at of steps) {
        if (at.kind === 'call') {
          const caller = callerOf(at.by);
          const params = { name: 'pay', arguments: { n: at.args } };
          const shape = {
            caller,
            capability: 'hr/pay',
            namespace: 'hr',
            toolbox: { name: '' },
            params,
            tool: tools[definition % 2],
            definition: `hash ${definition % 2}`,
          };
          const callPolicy = policies().of('hr/pay', 'hr');
          const screened = { ...shape, member: { id: 'hr/bank' }, policy: callPolicy } as unknown as Screened;
          const outcome = await approvals.pass(screened, askFor({ params }), callPolicy.gates).then(
            () => 'made',
            (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
          );
          const key = `${at.by} ${at.args}`;
          const known = wanted.get(key);
          const isSame = known !== undefined && known.policy === policy % 2 && known.definition === definition % 2;
          const isGood = isSame && known.state !== 'over' && nowMs < known.endsAtMs;
          const agreed = [...(known?.agreed ?? [])].filter((who) => !gone.has(who)).length;
          const enough = agreed >= (policy % 2) + 1;
          if (isGood && known.state === 'denied') expect(outcome).toBe('approval_denied');
          else if (isGood && known.state === 'approved' && enough) {
            expect(outcome).toBe('made');
            known.state = 'over';
            executions += 1;
          } else {
            expect(outcome).toBe('approval_pending');
            if (!isGood || known.state !== 'pending') {
              if (known !== undefined) known.state = 'over';
              const row = (await approvals.list({ limit: 500 })).find(
                (request) => request.row.state === 'pending' && !all.some(({ id }) => id === request.row.id),
              );
              const made: Wanted = {
                ...{ id: row?.row.id ?? '', requester: at.by, state: 'pending', endsAtMs: nowMs + expiresMs },
                ...{ policy: policy % 2, definition: definition % 2, agreed: new Set() },
              };
              wanted.set(key, made);
              all.push(made);
            }
          }
        } else if (at.kind === 'decide') {
          const on = all.at(-1 - at.on);
          if (on === undefined || gone.has(at.by)) continue;
          const outcome = await approvals.decide(on.id, callerOf(at.by), at.verdict, '').then(
            ({ row }) => row.state,
            (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
          );
          if (!mayAgree(on.requester, at.by)) expect(outcome).toBe('forbidden');
          else if (on.state !== 'pending' || [...on.agreed].some((who) => people[who].member === people[at.by].member))
            expect(outcome).toBe('conflict');
          else if (nowMs >= on.endsAtMs || on.policy !== policy % 2) {
            expect(outcome).toBe('conflict');
            on.state = 'over';
          } else if (at.verdict === 'deny') {
            expect(outcome).toBe('denied');
            on.state = 'denied';
          } else {
            on.agreed.add(at.by);
            const agreed = [...on.agreed].filter((who) => !gone.has(who)).length;
            on.state = agreed >= on.policy + 1 ? 'approved' : 'pending';
            expect(outcome).toBe(on.state);
          }
        } else if (at.kind === 'revoke') gone.add(at.who);
        else if (at.kind === 'restore') gone.delete(at.who);
        else if (at.kind === 'wait') {
          time.wallMs += at.ms;
          time.steadyMs += at.ms;
          nowMs += at.ms;
        } else if (at.kind === 'turn back') time.wallMs -= at.ms;
        else if (at.kind === 'policy') policy += 1;
        else if (at.kind === 'definition') definition += 1;
        else {
          await approvals.close();
          // A process that starts knows the clock of the machine alone; this machine's has been put right by then.
          time.wallMs = Math.max(time.wallMs, nowMs);
          nowMs = time.wallMs;
          approvals = open();
        }
      }
      await approvals.close();
    }),
    { numRuns: isLong ? 20_000 : 80 },
  );
  expect(executions).toBeGreaterThan(20);
});
