/**
 * The client under test in the suite's client mode: starts a gateway with the given URL as its upstream and drives the gateway as
 * a client of the same era would. What the suite's server then sees is the gateway's side towards upstreams.
 */
import { connectClient } from './clients.ts';
import { type Gateway, startGateway } from './gateway.ts';
import { within } from './until.ts';

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
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}') as { toolCalls?: ToolCall[] };
const isModern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28';

/** Some value of the declared type for each required argument. */
function fillArguments({ inputSchema }: Definition): Record<string, unknown> {
  const values = { number: 5, integer: 5, boolean: true, array: [], object: {} } as Record<string, unknown>;
  const required = inputSchema.required ?? [];
  return Object.fromEntries(required.map((name) => [name, values[inputSchema.properties?.[name]?.type ?? ''] ?? 'value']));
}

const namespace = `
namespace: suite
upstreams:
  peer: { kind: mcp, url: "${url}" }
toolboxes:
  peer: { include: ["suite/*"], names: one-to-one }
`;

async function drive(gateway: Gateway): Promise<void> {
  const door = { url: gateway.mcpUrl('peer'), key: gateway.key };
  const capabilities = { elicitation: { form: { applyDefaults: true }, url: {} }, sampling: {}, roots: {} };
  const client = await connectClient(isModern ? 'v2 pinned' : 'v2 legacy', door, { capabilities });
  client.answers.elicitation = { action: 'accept', content: scenario.includes('defaults') ? {} : { confirmed: true } };
  const { tools = [] } = (await client.request('tools/list')) as { tools?: Definition[] };
  const echoed = tools.find(({ name }) => name === 'json_schema_2020_12_tool')?.inputSchema;
  const planned = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: fillArguments(tool) }));
  for (const { name, arguments: given } of planned) {
    const args = name === 'json_schema_echo' ? { schema: echoed } : given;
    const result = await client.call(name, args);
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
const starting = startGateway([namespace], {}, { isHealthy: !scenario.startsWith('auth/') });
try {
  // The suite gives up after 30 s, and does not always tell.
  await within(25_000, `scenario ${scenario}`, Promise.race([starting.then(drive), stopped]));
} finally {
  const gateway = await starting;
  await gateway.stop();
  process.stderr.write(`${gateway.process.stderr.join('\n')}\n`);
}
