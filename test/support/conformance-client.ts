/**
 * The client under test in the suite's client mode: starts a gateway with the given URL as its upstream and drives the gateway as
 * a client of the same era would. What the suite's server then sees is the gateway's side towards upstreams.
 */
import { openBrowser } from './browser.ts';
import { connectClient, type TestClient, type ToolResult } from './clients.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { until, within } from './until.ts';

interface ToolCall {
  readonly name: string;
  readonly arguments: Record<string, unknown>;
}
interface Definition {
  readonly name: string;
  readonly inputSchema: {
    readonly properties?: Record<string, { readonly type?: string }>;
    readonly required?: readonly string[];
  };
}

const url = process.argv.at(-1) ?? '';
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as {
  toolCalls?: ToolCall[];
  client_id?: string;
  client_secret?: string;
  issuer?: string;
};
const isSignIn = scenario.startsWith('auth/');
const isModern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28';

/** Some value of the declared type for each required argument. */
function fillArguments({ inputSchema }: Definition): Record<string, unknown> {
  const values = { number: 5, integer: 5, boolean: true, array: [], object: {} } as Record<string, unknown>;
  const required = inputSchema.required ?? [];
  return Object.fromEntries(required.map((name) => [name, values[inputSchema.properties?.[name]?.type ?? ''] ?? 'value']));
}

/** What an operator would write for this scenario. */
function describeAuth(): string {
  if (!isSignIn) return '';
  const { client_id: id, client_secret: secret, issuer } = context;
  if (id !== undefined && secret !== undefined)
    return `, auth: { kind: user, clientId: "${id}", clientSecret: "\${secret:SUITE_SECRET}", issuer: "${issuer}" }`;
  // The suite's own metadata document, in place of the one that a gateway with a public https address serves.
  const document = 'https://conformance-test.local/client-metadata.json';
  return scenario === 'auth/basic-cimd' ? `, auth: { kind: user, clientId: "${document}" }` : ', auth: { kind: user }';
}

const namespace = `
namespace: suite
upstreams:
  peer: { kind: mcp, url: "${url}"${describeAuth()} }
toolboxes:
  peer: { include: ["suite/*"], names: one-to-one }
`;

const browser = openBrowser();

class NotSignedIn extends Error {}

/** Calls a tool, and is the person who visits the page that the call may ask for. */
async function callVisiting(client: TestClient, name: string, args: Record<string, unknown>): Promise<ToolResult> {
  const before = client.asked.length;
  let isOver = false;
  const answer = client.call(name, args).finally(() => {
    isOver = true;
  });
  answer.catch(() => {});
  const isVisit = () => client.asked.slice(before).find(({ params }) => params.mode === 'url');
  await until('the call ends or asks', () => isOver || isVisit() !== undefined, 20_000);
  const visit = isVisit();
  if (visit !== undefined) {
    const { status, text } = await browser.signIn(String(visit.params.url));
    if (status !== 200) {
      // Its call would wait for a sign-in that is over.
      await client.close();
      throw new NotSignedIn(text);
    }
  }
  return answer;
}

/** Signs in until the tools are listed: more than once where the upstream moves to another authorization server meanwhile. */
async function signIn(client: TestClient): Promise<void> {
  for (let n = 0; n < 3; n++) {
    await callVisiting(client, 'sign_in_peer', {});
    const isListed = async () => (await client.listTools()).length > 1;
    if (await until('the tools are listed', isListed, 3_000).catch(() => false)) return;
  }
}

async function drive(gateway: Gateway): Promise<void> {
  const door = { url: gateway.mcpUrl('peer'), key: gateway.key };
  const capabilities = { elicitation: { form: { applyDefaults: true }, url: {} }, sampling: {}, roots: {} };
  const client = await connectClient(isModern ? 'v2 pinned' : 'v2 legacy', door, { capabilities });
  client.answers.elicitation = { action: 'accept', content: scenario.includes('defaults') ? {} : { confirmed: true } };
  if (isSignIn) await signIn(client);
  const { tools = [] } = (await client.request('tools/list')) as { tools?: Definition[] };
  const echoed = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema;
  const planned = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: fillArguments(tool) }));
  for (const { name, arguments: given } of planned) {
    const args = name === 'json_schema_echo' ? { schema: echoed } : given;
    const result = await callVisiting(client, name, args);
    process.stdout.write(`${name}: ${JSON.stringify(result)}\n`);
  }
  for (const [list, read, key] of [
    ['resources', 'resources/read', 'uri'],
    ['prompts', 'prompts/get', 'name'],
  ] as const) {
    const answer = await client.request(`${list}/list`).catch(() => ({}) as Record<string, unknown>);
    for (const definition of (answer[list] ?? []) as Record<string, unknown>[]) {
      const result = await client.request(read, { [key]: definition[key] });
      process.stdout.write(`${definition[key]}: ${JSON.stringify(result)}\n`);
    }
  }
  await client.close();
}

const { promise: stopped, reject } = Promise.withResolvers<never>();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => reject(new Error(signal)));
const settings: Record<string, string> = isSignIn ? { GATEHOUSE_EGRESS_ALLOW: 'localhost' } : {};
if (context.client_secret !== undefined) settings.SUITE_SECRET = context.client_secret;
const starting = startGateway([namespace], settings, { isHealthy: !isSignIn });
try {
  // The suite gives up after 30 s, and does not always tell.
  await within(25_000, `scenario ${scenario}`, Promise.race([starting.then(drive), stopped])).catch((error: unknown) => {
    // A refused sign-in is what some scenarios want to see.
    if (!(error instanceof NotSignedIn)) throw error;
  });
} finally {
  const gateway = await starting;
  await gateway.stop();
  process.stderr.write(`${gateway.process.stderr.join('\n')}\n`);
}
