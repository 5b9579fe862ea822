import { z } from 'zod';
import { isGatedByDefault } from '../call/approve.ts';
import type { Caller } from '../call/authenticate.ts';
import { describeGate } from '../call/explain.ts';
import type { Capability, Toolbox } from '../catalog/catalog.ts';
import { documentedBy } from '../catalog/documentation-uri.ts';
import { type Documentation, describe } from '../finding/describe.ts';
import { writeMarkdown } from '../finding/write-markdown.ts';
import { demandsFor } from '../policy/compile-limits.ts';
import { describeLimit } from '../policy/describe-limit.ts';
import type { CallPolicy } from '../policy/policy.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { type AdminPorts, defineAction, notThere } from './action.ts';
import { toolboxFor } from './visible.ts';

export const getDocumentation = defineAction({
  name: 'get_documentation',
  title: 'Read the documentation of a tool',
  description:
    'What a tool does, what it takes and gives, worked examples, errors, limits, and code that calls it: made from its definition, the policies that hold it and how it fares. The same is an MCP resource, gatehouse://docs/<namespace>/<name>.',
  roles: ['admin', 'auditor', 'developer', 'approver'],
  isReadOnly: true,
  route: 'GET /documentation',
  input: z.strictObject({
    name: z.string().min(1).max(256).describe('namespace/name.'),
    toolbox: z.string().max(64).optional().describe('Through which toolbox it is called. Default: everything, as at /mcp.'),
    format: z.enum(['markdown', 'json']).optional().describe('Default: markdown.'),
  }),
  output: z.object({
    name: z.string(),
    markdown: z.string().optional().describe('The page; texts of the upstream are shown as text in it.'),
    documentation: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('The same as data; texts are as the upstream wrote them.'),
  }),
  async run(ports, caller, { name, toolbox: through, format = 'markdown' }, ip) {
    const toolbox = toolboxFor(ports, caller, ip, through ?? '') ?? nowhere(name);
    const capability = toolNamed(toolbox, name) ?? nowhere(name);
    const documentation = await document(ports, caller, toolbox, capability);
    return format === 'json' ? { name, documentation } : { name, markdown: writeMarkdown(documentation) };
  },
});

function nowhere(name: string): never {
  throw notThere('tool', name, 'Search the catalog with list_capabilities.');
}

type DocumentPorts = Pick<AdminPorts, 'calls' | 'ownUrl'>;

/** The page at a URI, of what a caller sees of a toolbox; undefined where they see no such thing. */
export async function pageAt(ports: DocumentPorts, caller: Caller, toolbox: Toolbox, uri: string): Promise<string | undefined> {
  const name = documentedBy(uri);
  const capability = name === undefined ? undefined : toolNamed(toolbox, name);
  return capability === undefined ? undefined : writeMarkdown(await document(ports, caller, toolbox, capability));
}

function toolNamed(toolbox: Toolbox, name: string): Capability<ToolDefinition> | undefined {
  for (const capability of toolbox.tools.values()) if (capability.name === name) return capability;
  return undefined;
}

function document(
  { calls, ownUrl }: DocumentPorts,
  caller: Caller,
  toolbox: Toolbox,
  capability: Capability<ToolDefinition>,
): Promise<Documentation> {
  const policy = calls.policies().of(capability.name, capability.member.config.namespace);
  return describe(capability, {
    url: `${ownUrl()}/mcp${toolbox.name === '' ? '' : `/${toolbox.name}`}`,
    policy,
    limits: limitsOf({ calls }, caller, capability),
    gates: gatesOf(capability, policy),
    checks: calls.checks,
  });
}

function gatesOf({ definition, member }: Capability<ToolDefinition>, { gates, gatesDestructive }: CallPolicy): readonly string[] {
  if (gates.length > 0) return gates.map(describeGate);
  const waits = gatesDestructive && isGatedByDefault({ tool: definition, member });
  return waits ? ['It removes something: somebody with the role approver has to agree.'] : [];
}

/** What holds this caller's calls of something, in words. */
export function limitsOf(
  { calls }: Pick<AdminPorts, 'calls'>,
  { consumer, key, member, limits }: Caller,
  { name, member: { config } }: Capability<unknown>,
): readonly string[] {
  const policy = calls.policies().of(name, config.namespace);
  const subjects = { namespace: config.namespace, capability: name, consumer, key, member };
  return demandsFor([...policy.limits, ...limits], subjects).map(({ limit }) => describeLimit(limit));
}
