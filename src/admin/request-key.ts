import { z } from 'zod';
import { visibleToolbox } from '../call/authorize.ts';
import { circumstancesOf } from '../call/call.ts';
import { type Catalog, modelsPlace } from '../catalog/catalog.ts';
import { compileGlob } from '../catalog/glob.ts';
import { GatewayError } from '../errors.ts';
import { modelSnippets } from '../finding/model-snippets.ts';
import { limitsSchema } from '../policy/limit-rules.ts';
import { idSchema, scopeSchema } from '../registry/documents.ts';
import { defineAction } from './action.ts';
import { issued, issueKey, madeUpKeyId } from './keys.ts';

const defaultExpiresInS = 90 * 86_400;
const longestExpiresInS = 365 * 86_400;

export const requestKey = defineAction({
  name: 'request_key',
  title: 'Get a key for yourself',
  description:
    'A key for what you may use yourself: by default all your models for 90 days. Whether somebody has to agree first is for the policy of admin/request_key to say: where it has a gate, repeat the same request once it is approved. The answer holds the key, this once, and code to start from.',
  roles: ['admin', 'developer'],
  isReadOnly: false,
  route: 'POST /keys/request',
  input: z.strictObject({
    title: z.string().min(1).max(200).describe('What it is for, for people.'),
    justification: z.string().min(1).max(2000).optional().describe('Why, for whoever has to agree.'),
    consumer: idSchema
      .optional()
      .describe('The team or application it is for; you must be able to give keys for it. Default: you.'),
    models: scopeSchema.shape.models.describe(
      'Only these models, as "namespace/name" with *. Default: those that you may use today, unless you name toolboxes.',
    ),
    toolboxes: scopeSchema.shape.toolboxes.describe('Toolboxes that it opens. Default: none.'),
    limits: limitsSchema.optional().describe('Rates and budgets of its own.'),
    expiresInS: z
      .int()
      .min(60)
      .max(longestExpiresInS)
      .optional()
      .describe('How long it is valid, in seconds, at most a year. Default: 90 days.'),
  }),
  output: issued.extend({
    baseUrl: z.string().describe('What OpenAI clients take as their base URL; Anthropic clients take it without /v1.'),
    models: z.array(z.string()).describe('Models that it may call today.'),
    mcpUrls: z.array(z.string()).describe('Addresses for MCP clients.'),
    snippets: z.record(z.string(), z.string()).describe('Code that calls the first of the models.'),
  }),
  async run(ports, caller, { title, consumer, models, toolboxes, limits, expiresInS = defaultExpiresInS }, ip) {
    const visible = visibleToolbox(circumstancesOf(ports.calls, ip), ports.catalog(), caller, modelsPlace);
    const own = [...visible.tools.values()].map(({ name }) => name);
    const scoped = models ?? (toolboxes === undefined ? own : undefined);
    if (scoped?.length === 0 && toolboxes === undefined)
      throw new GatewayError(
        'conflict',
        'There is no model that you may use, so a key would be of no use. Ask an admin for access, or name toolboxes.',
      );
    const reached = reachedBy(own, scoped ?? []);
    if (reached.length === 0 && toolboxes === undefined)
      throw new GatewayError('forbidden', 'None of these is a model that you may use; list_models shows which you may.');
    const scope = {
      ...(scoped === undefined ? {} : { models: scoped }),
      ...(toolboxes === undefined ? {} : { toolboxes }),
    };
    const member = consumer === undefined ? caller.member : undefined;
    const given = await issueKey(ports, caller, ip, 'request_key', {
      id: madeUpKeyId(),
      title,
      consumer,
      member,
      scope,
      limits,
      expiresInS,
    });
    const url = ports.ownUrl();
    const [first] = reached;
    return {
      ...given,
      baseUrl: `${url}/v1`,
      models: reached,
      mcpUrls: (toolboxes ?? []).map((name) => `${url}/mcp/${name}`),
      snippets: first === undefined ? {} : modelSnippets({ url, model: first, isEmbedder: isEmbedder(ports.catalog(), first) }),
    };
  },
});

function reachedBy(own: readonly string[], globs: readonly string[]): readonly string[] {
  const tests = globs.map(compileGlob);
  return own.filter((name) => tests.some((takes) => takes(name)));
}

function isEmbedder({ modelNames }: Catalog, name: string): boolean {
  const transport = modelNames.get(name)?.member.config.transport;
  return transport?.type === 'model' && transport.can.includes('embeddings');
}
