import { type AdminGateway, type Answer, namespaceFor, openAdminGateway } from './admin-gateway.ts';
import { type CountingUpstream, startCountingUpstream } from './counting-upstream.ts';

/** What a call of a modern client is made with. */
export interface CallOptions {
  readonly capabilities?: object;
  readonly toolbox?: string;
  readonly tool?: string;
  readonly meta?: object;
  /** Of a further round. */
  readonly retry?: object;
  readonly key?: string;
}

/** A gateway over an upstream that counts, with people who ask and people who decide. */
export interface Gated {
  readonly gateway: AdminGateway;
  readonly upstream: CountingUpstream;
  /** Keys: `ann` asks, `bob` and `carl` approve in support, `eve` approves elsewhere, `dora` administers everything. */
  readonly keys: Readonly<Record<'ann' | 'ann2' | 'bob' | 'carl' | 'eve' | 'dora', string>>;
  /** One call of a modern client, by ann. */
  call(args: object | string, options?: CallOptions): Promise<Answer>;
  /** Another key of ann's, with which nothing was asked yet. */
  freshKey(): Promise<string>;
  /** What waits now, newest first. */
  pending(): Promise<readonly { id: string; [field: string]: unknown }[]>;
  decide(id: string, decision: 'approve' | 'deny', key?: string, more?: object): Promise<Answer>;
  stop(): Promise<void>;
}

export const gateOfApprovers = 'policy: { gates: [{ match: support/echo, reason: "Somebody has to look." }] }\n';

interface GatedOptions {
  /** Lines of the namespace file. */
  readonly more?: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly clock?: { nowMs(): number };
  readonly directory?: string;
  /** Text of `gatehouse.yaml`. */
  readonly file?: string;
  readonly upstream?: CountingUpstream;
  /** People are there already. */
  readonly keys?: Gated['keys'];
}

const toolboxes = 'toolboxes:\n  box: { include: [support/*] }\n  other: { include: [support/*] }\n';

export async function startGated({ more = gateOfApprovers, upstream, keys, ...options }: GatedOptions = {}): Promise<Gated> {
  const own = upstream === undefined;
  const far = upstream ?? (await startCountingUpstream());
  const gateway = await openAdminGateway({
    ...options,
    namespaces: { support: namespaceFor('support', far.url, toolboxes + more) },
  });
  const people = keys ?? {
    ann: await gateway.person('ann', [{ role: 'developer', namespace: 'support' }]),
    ann2: (await gateway.ok('POST /keys', { id: 'ann2', title: 'second', member: 'ann' })).secret,
    bob: await gateway.person('bob', [{ role: 'approver', namespace: 'support' }]),
    carl: await gateway.person('carl', [{ role: 'approver', namespace: 'support' }]),
    eve: await gateway.person('eve', [{ role: 'approver', namespace: 'finance' }]),
    dora: await gateway.person('dora', [{ role: 'admin' }]),
  };
  return {
    gateway,
    upstream: far,
    keys: people,
    async call(args, { capabilities = {}, toolbox = '', tool = 'support__echo', meta = {}, retry = {}, key = people.ann } = {}) {
      const params = {
        name: tool,
        ...retry,
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': capabilities,
          ...meta,
        },
      };
      const source = typeof args === 'string' ? args : JSON.stringify(args);
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${JSON.stringify(params).slice(0, -1)},"arguments":${source}}}`;
      const region = typeof args === 'object' && 'region' in args ? { 'mcp-param-region': String(args.region) } : {};
      const response = await fetch(`${gateway.url}/mcp${toolbox === '' ? '' : `/${toolbox}`}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': tool,
          authorization: `Bearer ${key}`,
          ...region,
        },
        body,
      });
      return { status: response.status, body: await readAnswer(response), headers: response.headers };
    },
    freshKey: async () => (await gateway.ok('POST /keys', { title: 'fresh', member: 'ann' })).secret,
    pending: async () => (await gateway.ok('GET /approvals')).approvals,
    decide: (id, decision, key = people.bob, extra = {}) =>
      gateway.api(`POST /approvals/${id}/decision`, { decision, ...extra }, key),
    async stop() {
      await gateway.stop();
      if (own) await far.close();
    },
  };
}

async function readAnswer(response: Response): Promise<unknown> {
  const source = await response.text();
  if (response.headers.get('content-type')?.startsWith('application/json') === true) return JSON.parse(source);
  const data = source.split('\n').filter((line) => line.startsWith('data: '));
  return JSON.parse(data.at(-1)?.slice(6) ?? 'null');
}

/** The code of a result that says why a call was not made. */
export function codeOf({ body }: Answer): string | undefined {
  return body?.result?._meta?.['dev.gatehouse/error']?.code;
}

/** Whether the upstream answered. */
export function ran({ body }: Answer): boolean {
  return body?.result?.isError !== true && body?.result?.resultType === 'complete';
}
