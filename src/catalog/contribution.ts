import type {
  Offer,
  PromptDefinition,
  ResourceDefinition,
  ResourceTemplateDefinition,
  ToolDefinition,
} from '../upstreams/upstream.ts';
import { capabilityName, outwardName } from './capability-name.ts';
import type { Capability, CatalogProblem, Member } from './catalog.ts';
import { compileGlob } from './glob.ts';
import { publishPrompt, publishResource, publishTemplate, publishTool } from './publish.ts';
import { mapUri } from './resource-uri.ts';

/** What one upstream brings to the catalog under its outward names, before other upstreams are looked at. */
export interface Contribution {
  readonly member: Member;
  readonly offer: Offer;
  readonly tools: readonly Capability<ToolDefinition>[];
  readonly prompts: readonly Capability<PromptDefinition>[];
  readonly resources: readonly Capability<ResourceDefinition>[];
  readonly resourceTemplates: readonly Capability<ResourceTemplateDefinition>[];
  readonly problems: readonly CatalogProblem[];
}

// An offer is the same object until it changes, so one upstream's news costs nothing for all others.
const remembered = new WeakMap<Member, Contribution>();

/** The contribution of a member's present offer; the same object, with the same published definitions, while that stays. */
export function contribute(member: Member): Contribution {
  const offer = member.upstream.offer();
  const known = remembered.get(member);
  if (known?.offer === offer) return known;
  const contribution = makeContribution(member, offer);
  remembered.set(member, contribution);
  return contribution;
}

function makeContribution(member: Member, offer: Offer): Contribution {
  const { config } = member;
  const problems: CatalogProblem[] = offer.problems.map(({ subject, message }) => ({ upstream: member.id, subject, message }));
  const isWanted = compileWanted(config.include, config.exclude);
  const toClient = (uri: string) => mapUri(config.namespace, config.name, uri);
  const offered = new Set([...offer.tools, ...offer.prompts].map(({ name }) => name));
  for (const [from, to] of Object.entries(config.rename)) {
    if (offer.isStale || offered.has(from)) continue;
    problems.push({
      upstream: member.id,
      subject: from,
      message: `"rename" makes "${from}" into "${to}", but the upstream offers nothing named "${from}".`,
    });
  }

  function collect<Definition>(
    definitions: readonly Definition[],
    keyOf: (definition: Definition) => string,
    outwardOf: (key: string) => string,
    publish: (definition: Definition, outward: string) => Definition,
    nameOf: (outward: string) => string,
  ): readonly Capability<Definition>[] {
    const found = new Map<string, Capability<Definition>>();
    for (const definition of definitions) {
      const key = keyOf(definition);
      const outward = outwardOf(key);
      if (found.has(outward)) {
        problems.push({
          upstream: member.id,
          subject: key,
          message: `The upstream offers "${key}" more than once, or two that are "${outward}" here; only the first is listed.`,
        });
        continue;
      }
      const published = Object.freeze(publish(definition, outward));
      found.set(outward, Object.freeze({ outwardName: outward, name: nameOf(outward), member, definition, published }));
    }
    return Object.freeze([...found.values()]);
  }

  const { namespace, rename } = config;
  const nameOutward = (name: string) => outwardName(namespace, Object.hasOwn(rename, name) ? (rename[name] ?? name) : name);
  const shortName = (outward: string) => capabilityName(namespace, outward);
  const ofUpstream = () => member.id;
  const byName = ({ name }: { readonly name: string }) => name;
  return Object.freeze({
    member,
    offer,
    tools: collect(
      offer.tools.filter((tool) => tool === offer.signIn || isWanted(tool)),
      byName,
      nameOutward,
      (tool, name) => publishTool(tool, name, toClient),
      shortName,
    ),
    prompts: collect(offer.prompts.filter(isWanted), byName, nameOutward, publishPrompt, shortName),
    resources: collect(offer.resources, ({ uri }) => uri, toClient, publishResource, ofUpstream),
    resourceTemplates: collect(offer.resourceTemplates, ({ uriTemplate }) => uriTemplate, toClient, publishTemplate, ofUpstream),
    problems: Object.freeze(problems),
  });
}

function compileWanted(
  include: readonly string[],
  exclude: readonly string[],
): (definition: { readonly name: string }) => boolean {
  const includes = include.map(compileGlob);
  const excludes = exclude.map(compileGlob);
  return ({ name }) => includes.some((test) => test(name)) && !excludes.some((test) => test(name));
}
