import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { answerRules } from '../call/check-answer.ts';
import { namesAfter } from '../call/record-names.ts';
import { categories, judgedCategories } from '../content/rule.ts';
import { ruleIds } from '../content/rule-names.ts';
import { GatewayError } from '../errors.ts';
import type { JournalReport } from '../journal/verify-journal.ts';
import { suggestName } from '../problems.ts';
import type { AuditCursor, AuditRow } from '../store/ports/audit-index.ts';
import type { StoredChangeRecord } from '../store/ports/registry.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type AdminPorts, defineAction, namespacesOf, requireRole } from './action.ts';
import { isOwn } from './key-authority.ts';

/** Change records that are read for one page, where most of them are not for whoever asks. */
const mostLookedAt = 10_000;
const pageSize = 1000;

const callShown = z
  .object({
    kind: z.enum(['call', 'change']),
    atMs: z.number(),
    caller: z.string().nullable(),
    capability: z.string().nullable().describe('What was called, or the object that was changed.'),
    decision: z.string().nullable(),
    outcome: z.string().nullable().describe('Null while it runs, or where the process ended meanwhile.'),
    code: z.string().nullable(),
    trace: z.string().nullable(),
    contentRules: z.array(z.string()).describe('Content rules that matched; where and what was done stands in "contentHits".'),
  })
  .loose();

const changeShown = z.object({
  revision: z.number(),
  atMs: z.number(),
  actor: z.string(),
  action: z.string(),
  kind: z.string(),
  id: z.string(),
  detail: z.object({}).loose(),
});

const contentNames: readonly string[] = [
  ...[...ruleIds, ...answerRules].flatMap((id) => [id.slice(0, id.indexOf('/')), id]),
  ...['judge', 'judge/unavailable', ...judgedCategories.map((category) => `judge/${category}`)],
  ...['content', 'content/unread'],
];

/** One that nothing can be found by is a slip: an empty answer would look like good news. */
const contentRuleName = z.string().superRefine((name, context) => {
  if (contentNames.includes(name)) return;
  const hint = suggestName(name, contentNames) || ` Categories are ${categories.join(', ')}, answer, judge and content.`;
  context.addIssue({ code: 'custom', message: `Nothing on record is named "${name.slice(0, 64)}".${hint}` });
});

export const searchAudit = defineAction({
  name: 'search_audit',
  title: 'Search the audit trail',
  description:
    'Who called or changed what, newest first: calls and changes as the journal has them, or (source "changes") what was changed in detail. An admin or auditor of a namespace sees that namespace, whoever is neither the own calls. The index is a moment behind; proof is in the journal (verify_audit).',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /audit',
  input: z.strictObject({
    source: z
      .enum(['calls', 'changes'])
      .optional()
      .describe('calls: the journal. changes: the records of the registry. Default: calls.'),
    caller: z.string().min(1).max(600).optional().describe('"key:<id>", "oauth:<issuer>#<subject>", "local:<user>".'),
    capability: z
      .string()
      .min(1)
      .max(300)
      .optional()
      .describe('Calls: "namespace/name", or the object that was changed, "key/ci".'),
    decision: z.enum(['allow', 'deny']).optional().describe('Calls only.'),
    code: z.string().min(1).max(100).optional().describe('Calls only: the error, e.g. "rate_limited".'),
    trace: z
      .string()
      .regex(/^[0-9a-f]{32}$/, 'A trace is 32 hex digits.')
      .optional()
      .describe('Calls only: the trace id.'),
    call: z
      .string()
      .regex(
        /^([0-9a-f]{24}(-[2-9])?|\d{1,15}\.\d{1,15})$/,
        'A call is named by the x-request-id of its answer, 24 hex digits, or as "call" of its record.',
      )
      .optional()
      .describe(
        'Calls only: the one of this id: the x-request-id of an answer at /v1 or, over HTTP, in MCP, or "call" of a record.',
      ),
    contentRule: contentRuleName
      .optional()
      .describe('Calls only: a content rule that matched, e.g. "secrets/github-token", or any of a category, "secrets".'),
    object: z.string().min(1).max(300).optional().describe('Changes only: what was changed, "key/ci" or "policy/global".'),
    fromMs: z.int().min(0).optional().describe('Not before this time, in ms since 1970.'),
    toMs: z.int().min(0).optional().describe('Before this time.'),
    limit: z.int().min(1).max(500).optional().describe('Most to show. Default: 50.'),
    cursor: z.string().max(200).optional().describe('"next" of the page before this one.'),
  }),
  output: z.object({
    calls: z.array(callShown).optional(),
    changes: z.array(changeShown).optional(),
    next: z.string().optional().describe('Ask again with this as "cursor" for what is older.'),
  }),
  async run(ports, caller, { source = 'calls', limit = 50, ...query }) {
    return source === 'calls'
      ? await searchCalls(ports, caller, { limit, ...query })
      : await searchChanges(ports, caller, { limit, ...query });
  },
});

export const verifyAudit = defineAction({
  name: 'verify_audit',
  title: 'Verify the audit trail',
  description:
    'Checks every record of the journal in the data directory of this process: whether one was changed, moved, added or taken out since it was written. Names the first bad one.',
  roles: ['admin', 'auditor'],
  isReadOnly: true,
  route: 'POST /audit/verify',
  input: z.strictObject({
    heads: z
      .array(
        z.string().regex(/^[0-9a-f]{32}:\d{1,15}:[\w-]{43}$/, 'A head is written <chain>:<seq>:<hash>, as this action gives it.'),
      )
      .max(50)
      .optional()
      .describe('Ends of chains that were kept elsewhere: without one, records cut off the end since then are not noticed.'),
  }),
  output: z.object({
    isIntact: z.boolean(),
    chains: z.array(
      z.object({
        name: z.string(),
        records: z.number(),
        head: z.string().nullable().describe('Keep it elsewhere, and check against it later.'),
        lost: z.number().describe('Records that could not be written, which is itself on record.'),
        problem: z.string().nullable().describe('The first bad record: what is wrong with it, in which file and line.'),
      }),
    ),
    missingChains: z.array(z.string()),
    elsewhere: z
      .array(z.string())
      .describe(
        'Ends of chains that the index knows and that are not in this journal: another machine has them, or they are lost.',
      ),
  }),
  async run(ports, caller, { heads = [] }) {
    requireRole(caller, ['admin', 'auditor']);
    await ports.journal.flush();
    const given = heads.map((head) => {
      const [chain = '', seq = '', hash = ''] = head.split(':');
      return { chain, seq: Number(seq), hash };
    });
    const { isIntact, chains, missingChains, elsewhere } = await verify(ports, given);
    return {
      isIntact,
      chains: chains.map(showChain),
      missingChains: missingChains.map(({ chain }) => chain),
      elsewhere: elsewhere.map(({ chain, seq, hash }) => `${chain}:${seq}:${hash}`),
    };
  },
});

const running = new WeakMap<AdminPorts['journal'], Promise<unknown>>();

/** One at a time: it reads every byte there is. */
async function verify(
  { journal, verifyJournal }: AdminPorts,
  heads: Parameters<AdminPorts['verifyJournal']>[0],
): Promise<JournalReport> {
  const before = running.get(journal);
  const turn = (async () => {
    await before;
    return await verifyJournal(heads);
  })();
  running.set(
    journal,
    turn.catch(() => {}),
  );
  return await turn;
}

function showChain({ name, records, head, lost, problem }: JournalReport['chains'][number]) {
  return {
    name,
    records,
    lost,
    head: head === undefined ? null : `${head.chain}:${head.seq}:${head.hash}`,
    problem: problem === undefined ? null : `${problem.fault}: ${problem.file}, line ${problem.line}: ${problem.message}`,
  };
}

interface Query {
  readonly limit: number;
  readonly call?: string | undefined;
  readonly caller?: string | undefined;
  readonly capability?: string | undefined;
  readonly decision?: string | undefined;
  readonly code?: string | undefined;
  readonly trace?: string | undefined;
  readonly contentRule?: string | undefined;
  readonly object?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly cursor?: string | undefined;
}

async function searchCalls(ports: AdminPorts, caller: Caller, { cursor, object: _, call, ...query }: Query) {
  const visible = namespacesOf(caller, ['admin', 'auditor']);
  const bound =
    visible === 'all' ? {} : visible.size > 0 ? { namespaces: [...visible] } : { callers: ownPrincipals(ports, caller) };
  const before = cursor === undefined ? undefined : readCallCursor(cursor);
  const calls = call === undefined ? undefined : namesAfter(call);
  const rows = await ports.audit.search({ ...query, ...bound, calls, before });
  const last = rows.at(-1);
  const next = last !== undefined && rows.length === query.limit ? { next: `${last.atMs}:${last.seq}:${last.chain}` } : {};
  return { calls: rows.map(showRow), ...next };
}

function showRow({ record, result, chain, seq, id, consumer, upstream, ms, ...rest }: AuditRow) {
  const found = { consumer, upstream, ms, ...rest, call: id, journal: { chain, seq } };
  return { ...found, record: parse(record), result: parse(result) };
}

function parse(text: string | null): JsonObject | null {
  const value: unknown = text === null ? null : JSON.parse(text);
  return isObject(value) ? value : null;
}

function readCallCursor(cursor: string): AuditCursor {
  const [, atMs, seq, chain = ''] = /^(\d{1,16}):(\d{1,16}):([0-9a-f]{1,64})$/.exec(cursor) ?? [];
  if (atMs === undefined || seq === undefined) throw badCursor();
  return { atMs: Number(atMs), seq: Number(seq), chain };
}

async function searchChanges(ports: AdminPorts, caller: Caller, { limit, cursor, object, caller: actor, fromMs, toMs }: Query) {
  const visible = namespacesOf(caller, ['admin', 'auditor']);
  const own = new Set(ownPrincipals(ports, caller));
  const isForThem = (record: StoredChangeRecord) =>
    visible === 'all' || own.has(record.actor) || visible.has(namespaceOfChange(ports, record) ?? '');
  const [kind, id] = object === undefined ? [] : [object.slice(0, object.indexOf('/')), object.slice(object.indexOf('/') + 1)];
  const query = { actor, kind, id, fromMs, untilMs: toMs, limit: pageSize };
  const changes: StoredChangeRecord[] = [];
  let before = cursor === undefined ? undefined : readChangeCursor(cursor);
  for (let looked = 0; looked < mostLookedAt; looked += pageSize) {
    const page = await ports.changeRecords({ ...query, before });
    for (const record of page) {
      before = { revision: record.revision, place: record.place };
      if (isForThem(record)) changes.push(record);
      if (changes.length === limit) return { changes: changes.map(showChange), next: cursorOf(before) };
    }
    if (page.length < pageSize) return { changes: changes.map(showChange) };
  }
  return { changes: changes.map(showChange), ...(before === undefined ? {} : { next: cursorOf(before) }) };
}

/** The namespace that a change was made in, where it was in one. */
function namespaceOfChange({ registry }: AdminPorts, { kind, id }: StoredChangeRecord): string | undefined {
  switch (kind) {
    case 'upstream':
      return id.slice(0, id.indexOf('/'));
    case 'namespace':
      return id;
    case 'policy':
      return /^(?:namespace:|capability:)([^/]+)/.exec(id)?.[1];
    case 'toolbox':
      return registry.get('toolbox', id)?.body.namespace;
    case 'toolbox-version':
      return registry.get('toolbox-version', id)?.body.namespace;
    default:
      return undefined;
  }
}

function showChange({ revision, atMs, actor, action, kind, id, detail }: StoredChangeRecord) {
  return { revision, atMs, actor, action, kind, id, detail: parse(detail) ?? {} };
}

function cursorOf({ revision, place }: { readonly revision: number; readonly place: number }): string {
  return `${revision}:${place}`;
}

function readChangeCursor(cursor: string): { readonly revision: number; readonly place: number } {
  const [, revision, place] = /^(\d{1,16}):(\d{1,16})$/.exec(cursor) ?? [];
  if (revision === undefined || place === undefined) throw badCursor();
  return { revision: Number(revision), place: Number(place) };
}

function badCursor(): GatewayError {
  return new GatewayError(
    'bad_arguments',
    '"cursor" is not one of this search; take "next" of the page before, and the same source.',
  );
}

/** Everything that somebody is called in records: themselves, their keys and their identities. */
function ownPrincipals({ registry }: AdminPorts, caller: Caller): readonly string[] {
  const keys = registry.list('key').filter(({ body }) => isOwn(caller, body));
  const member = caller.member === undefined ? undefined : registry.get('member', caller.member)?.body;
  const identities = member?.identities.filter((identity) => identity.startsWith('oauth:')) ?? [];
  return [...new Set([caller.id, ...keys.map(({ id }) => `key:${id}`), ...identities])].slice(0, 500);
}
