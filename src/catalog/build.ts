import type { PromptDefinition, ToolDefinition } from '../upstreams/upstream.ts';
import type { JsonObject } from '../wire/json.ts';
import { type Capability, type Catalog, type CatalogProblem, type Member, modelsPlace, type Toolbox } from './catalog.ts';
import type { ToolboxConfig } from './config.ts';
import { type ApprovedOf, type Contribution, contribute, type HeldDefinition } from './contribution.ts';
import { mergeInstructions } from './instructions.ts';
import type { NamespaceConfig } from './namespace-config.ts';
import { interfaceUris, withoutHidden } from './publish.ts';
import { keepUris, mapUris, type UriSource } from './resource-uri.ts';
import { callToolName, searchToolName } from './search-tools.ts';
import { readPattern, type ToolboxPattern } from './toolbox-pattern.ts';

/** Who finds and describes what is in toolboxes, and how everything at `/mcp` is shown. */
export interface FindingOptions {
  readonly finder?: Member | undefined;
  readonly search?: Toolbox['search'] | undefined;
}

/**
 * Makes the snapshot from what the files say and what the upstreams offer right now, as far as it is approved. Members are found by
 * `namespace/name`.
 */
export function buildCatalog(
  version: number,
  namespaces: readonly NamespaceConfig[],
  members: ReadonlyMap<string, Member>,
  { finder, search = 'off' }: FindingOptions = {},
  approvedOf?: ApprovedOf,
): Catalog {
  const problems: CatalogProblem[] = [];
  const shares: Share[] = [];
  const upstreams = new Map<string, Member>();
  const held = new Map<string, readonly HeldDefinition[]>();
  for (const namespace of namespaces) {
    const taken = { tool: new Map<string, Member>(), prompt: new Map<string, Member>() };
    for (const { id } of namespace.upstreams) {
      const member = members.get(id);
      if (member === undefined) continue;
      upstreams.set(id, member);
      const contribution = contribute(member, approvedOf);
      if (contribution.held.length > 0) held.set(id, contribution.held);
      problems.push(...contribution.problems);
      shares.push({
        contribution,
        isWhole: true,
        tools: dropTaken(contribution.tools, 'tool', taken.tool, problems),
        prompts: dropTaken(contribution.prompts, 'prompt', taken.prompt, problems),
      });
    }
  }
  const toolboxes = new Map<string, Toolbox>();
  // What administers the gateway has an address of its own and is no part of anything else.
  const offered = shares.filter(({ contribution }) => contribution.member.config.kind !== 'admin');
  for (const { name, toolboxes: configs } of namespaces) {
    for (const config of configs)
      toolboxes.set(config.name, toolboxOf(config, name === 'admin' ? shares : offered, finder, problems));
  }
  const everything = assemble({ ...everythingConfig, search }, offered, finder, problems);
  const models = assemble({ ...everythingConfig, name: modelsPlace }, offered.filter(isModel), undefined, problems);
  const modelNames = nameModels(models, upstreams, problems);
  const catalog = Object.freeze({
    version,
    everything,
    toolboxes,
    models,
    modelNames,
    upstreams,
    held,
    problems: Object.freeze(problems),
  });
  offeredIn.set(catalog, offered);
  return catalog;
}

const offeredIn = new WeakMap<Catalog, readonly Share[]>();

/** What a toolbox would show if this catalog served it; without its search. */
export function previewToolbox(catalog: Catalog, config: ToolboxConfig): Toolbox {
  return buildToolbox(config, offeredIn.get(catalog) ?? [], undefined, []);
}

function isModel({ contribution }: Share): boolean {
  return contribution.member.config.kind === 'model';
}

// Aliases come last: none of them takes a name away from what is called so, be it served right now or not.
function nameModels({ tools }: Toolbox, upstreams: Catalog['upstreams'], problems: CatalogProblem[]): Catalog['modelNames'] {
  const names = new Map<string, Capability<ToolDefinition>>();
  for (const capability of tools.values()) names.set(capability.name, capability).set(capability.outwardName, capability);
  for (const capability of tools.values()) {
    const { id, config } = capability.member;
    for (const alias of config.transport.type === 'model' ? config.transport.aliases : []) {
      const owner = names.get(alias)?.name ?? (upstreams.has(alias) ? alias : undefined);
      if (owner === undefined) names.set(alias, capability);
      else if (owner !== capability.name)
        problems.push({
          upstream: id,
          subject: alias,
          message: `The alias is not used: ${owner} is already called so. Choose another.`,
        });
    }
  }
  return names;
}

const everythingConfig: ToolboxConfig = {
  name: '',
  namespace: '',
  title: undefined,
  description: undefined,
  include: [],
  exclude: [],
  names: 'prefixed',
  search: 'off',
  pinned: [],
};

/** The part of one upstream's contribution that a toolbox shows. */
interface Share {
  readonly contribution: Contribution;
  /** Resources too. */
  readonly isWhole: boolean;
  readonly tools: readonly Capability<ToolDefinition>[];
  readonly prompts: readonly Capability<PromptDefinition>[];
}

// Of two upstreams in one namespace the one declared first keeps a name; the other's is not renamed either, because a name that
// depends on its neighbours changes with them. Names that differ in case alone are one name to a reader, so to us as well.
function dropTaken<Definition extends { readonly name: string }>(
  capabilities: readonly Capability<Definition>[],
  kind: 'tool' | 'prompt',
  taken: Map<string, Member>,
  problems: CatalogProblem[],
): readonly Capability<Definition>[] {
  let isDropping = false;
  const kept = capabilities.filter(({ outwardName, name, member, definition }) => {
    const key = outwardName.toLowerCase();
    const owner = taken.get(key);
    if (owner === undefined) taken.set(key, member);
    if (owner === undefined || owner === member) return true;
    isDropping = true;
    problems.push({
      upstream: member.id,
      subject: definition.name,
      message: `The ${kind} is not listed: ${owner.id}, which is declared earlier, already has "${name}" (upper and lower case count as equal). Give this one another name with "rename" on ${member.id}.`,
    });
    return false;
  });
  return isDropping ? kept : capabilities;
}

interface Built {
  /** What its lines look into; what else there is plays no part but by name. */
  readonly shares: readonly Share[];
  readonly ids: string;
  readonly finder: Member | undefined;
  readonly toolbox: Toolbox;
  readonly problems: readonly CatalogProblem[];
}

// Of hundreds of toolboxes most are from one snapshot to the next what they were, and with them the bytes of their lists.
const built = new WeakMap<ToolboxConfig, Built>();

function toolboxOf(
  config: ToolboxConfig,
  all: readonly Share[],
  finder: Member | undefined,
  problems: CatalogProblem[],
): Toolbox {
  const { shares, ids } = coveredBy(config, all);
  let known = built.get(config);
  if (known === undefined || known.finder !== finder || known.ids !== ids || !isSameShares(known.shares, shares)) {
    const found: CatalogProblem[] = [];
    known = { shares, ids, finder, toolbox: buildToolbox(config, all, finder, found), problems: found };
    built.set(config, known);
  }
  problems.push(...known.problems);
  return known.toolbox;
}

function coveredBy({ include, pinned }: ToolboxConfig, all: readonly Share[]): Pick<Built, 'shares' | 'ids'> {
  const patterns = [...readPatterns(include), ...readPatterns(pinned)];
  return {
    shares: all.filter(({ contribution: { member } }) => patterns.some((pattern) => pattern.covers(member.config))),
    ids: all.map(({ contribution }) => contribution.member.id).join(' '),
  };
}

function isSameShares(a: readonly Share[], b: readonly Share[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  return a.every(({ contribution, tools, prompts }, at) => {
    const other = b[at];
    return other !== undefined && contribution === other.contribution && tools === other.tools && prompts === other.prompts;
  });
}

function buildToolbox(
  config: ToolboxConfig,
  shares: readonly Share[],
  finder: Member | undefined,
  problems: CatalogProblem[],
): Toolbox {
  const includes = readPatterns(config.include);
  const excludes = readPatterns(config.exclude);
  reportIdle(config, [...includes, ...readPatterns(config.pinned)], shares, problems);
  const chosen = shares.flatMap((share) => choose(share, includes, excludes) ?? []);
  return assemble(config, chosen, finder, problems);
}

function readPatterns(texts: readonly string[]): readonly ToolboxPattern[] {
  return texts.map(readPattern).filter((pattern) => pattern !== undefined);
}

function choose(share: Share, includes: readonly ToolboxPattern[], excludes: readonly ToolboxPattern[]): Share | undefined {
  const { config } = share.contribution.member;
  const included = includes.filter((pattern) => pattern.covers(config));
  const excluded = excludes.filter((pattern) => pattern.covers(config));
  if (included.length === 0 || excluded.some(({ isWhole }) => isWhole)) return undefined;
  const isWhole = included.some((pattern) => pattern.isWhole);
  if (isWhole && excluded.length === 0) return share;
  const isChosen = (capability: Named) => isTaken(included, capability) && !isTaken(excluded, capability);
  const tools = share.tools.filter(isChosen);
  const prompts = share.prompts.filter(isChosen);
  if (!isWhole && tools.length === 0 && prompts.length === 0) return undefined;
  return { contribution: share.contribution, isWhole, tools, prompts };
}

type Named = Capability<{ readonly name: string }>;

// A name that had to be altered can be written either way: an "exclude" in the upstream's spelling must not miss.
function isTaken(patterns: readonly ToolboxPattern[], { name, member, definition }: Named): boolean {
  const { namespace, rename } = member.config;
  const own = Object.hasOwn(rename, definition.name) ? (rename[definition.name] ?? definition.name) : definition.name;
  return patterns.some(({ takes }) => takes(name.slice(namespace.length + 1)) || takes(own));
}

// A line that takes nothing is most often an upstream's name where a tool's is expected.
function reportIdle(
  config: ToolboxConfig,
  includes: readonly ToolboxPattern[],
  shares: readonly Share[],
  problems: CatalogProblem[],
): void {
  for (const pattern of includes) {
    if (pattern.isWhole) continue;
    const covered = shares.filter(({ contribution }) => pattern.covers(contribution.member.config));
    // What is held back has its own problem.
    if (covered.some(({ contribution }) => contribution.held.length > 0)) continue;
    if (covered.some(({ tools, prompts }) => [...tools, ...prompts].some((capability) => isTaken([pattern], capability))))
      continue;
    const meant = shares.find(({ contribution }) => contribution.member.id === pattern.text);
    const hint = meant === undefined ? '' : ` To take the whole upstream write "${pattern.text}/*".`;
    const problem = { upstream: `toolbox ${config.name}`, subject: pattern.text };
    const stale = covered.map(({ contribution }) => contribution).filter(({ offer }) => offer.isStale);
    if (stale.length === 0) problems.push({ ...problem, message: `No tool or prompt is named so.${hint}` });
    // What one offered before may have changed since.
    else if (stale.every(({ offer: { tools, prompts } }) => tools.length + prompts.length === 0)) {
      const awaits = stale.map(({ member }) => member);
      const silent = awaits.map(({ id }) => id).join(', ');
      problems.push({ ...problem, message: `Takes nothing as long as ${silent} has never said what it offers.${hint}`, awaits });
    }
  }
}

function assemble(
  config: ToolboxConfig,
  shares: readonly Share[],
  finder: Member | undefined,
  problems: CatalogProblem[],
): Toolbox {
  const { name, title, description, names } = config;
  const members = shares.map(({ contribution }) => contribution.member);
  const [first] = shares;
  const isPlain = names === 'one-to-one' && first !== undefined && shares.length === 1;
  const shown = isPlain ? [showPlain(first)] : shares.map(showPrefixed);
  const tools = index(shown.map((share) => share.tools));
  return Object.freeze({
    name,
    title,
    description,
    members: Object.freeze(members),
    tools,
    prompts: index(shown.map(({ prompts }) => prompts)),
    resources: index(shown.map(({ resources }) => resources)),
    resourceTemplates: index(shown.map(({ resourceTemplates }) => resourceTemplates)),
    can: Object.freeze({
      complete: members.some(({ upstream }) => upstream.offer().can.complete),
      log: members.some(({ upstream }) => upstream.offer().can.log),
      subscribe: members.some(({ upstream }) => upstream.offer().can.subscribe),
    }),
    instructions: isPlain ? first.contribution.instructions : mergeInstructions(shares.map(({ contribution }) => contribution)),
    caching: mergeCaching(shares),
    uris: isPlain ? keepUris(uriSource(first)) : mapUris(shares.map(uriSource)),
    search: searchOf(config, tools, problems),
    pinned: pinnedOf(config, tools),
    finder,
  });
}

// In a one-to-one toolbox an upstream's own tool may have the name of one of ours: it was there first.
function searchOf({ name, search }: ToolboxConfig, tools: Toolbox['tools'], problems: CatalogProblem[]): Toolbox['search'] {
  const taken = [searchToolName, callToolName].find((own) => tools.has(own));
  if (taken === undefined) return search;
  if (search === 'on')
    problems.push({
      upstream: `toolbox ${name}`,
      subject: taken,
      message: `The upstream has a tool of this name, so the toolbox shows its whole list and no search. Use "names: prefixed" to have both.`,
    });
  return 'off';
}

function pinnedOf({ pinned }: ToolboxConfig, tools: Toolbox['tools']): ReadonlySet<string> {
  const patterns = readPatterns(pinned);
  if (patterns.length === 0) return nothingPinned;
  const isPinned = (capability: Named) =>
    isTaken(
      patterns.filter((pattern) => pattern.covers(capability.member.config)),
      capability,
    );
  return new Set([...tools.values()].filter(isPinned).map(({ outwardName }) => outwardName));
}

const nothingPinned: ReadonlySet<string> = new Set();

type Shown = Pick<Contribution, 'tools' | 'prompts' | 'resources' | 'resourceTemplates'>;

function showPrefixed({ contribution, isWhole, tools, prompts }: Share): Shown {
  if (isWhole) return { tools, prompts, resources: contribution.resources, resourceTemplates: contribution.resourceTemplates };
  const readable = readableUris(tools);
  const resources = contribution.resources.filter(({ definition }) => readable.has(definition.uri));
  return { tools, prompts, resources, resourceTemplates: [] };
}

function showPlain(share: Share): Shown {
  const { tools, prompts, resources, resourceTemplates } = showPrefixed(share);
  return {
    tools: tools.map((tool) => plain(tool, tool.definition.name)),
    prompts: prompts.map((prompt) => plain(prompt, prompt.definition.name)),
    resources: resources.map((resource) => plain(resource, resource.definition.uri)),
    resourceTemplates: resourceTemplates.map((template) => plain(template, template.definition.uriTemplate)),
  };
}

function plain<Definition extends JsonObject>(capability: Capability<Definition>, ownName: string): Capability<Definition> {
  return Object.freeze({ ...capability, outwardName: ownName, published: withoutHidden(capability.definition) });
}

function index<Definition>(lists: readonly (readonly Capability<Definition>[])[]): ReadonlyMap<string, Capability<Definition>> {
  const filled = lists.filter((list) => list.length > 0);
  const [last] = filled.slice(-1);
  if (last === undefined) return new Map();
  const known = indexes.get(last)?.find((one) => isSameLists(one.lists, filled));
  if (known !== undefined) return known.index as ReadonlyMap<string, Capability<Definition>>;
  const found = new Map<string, Capability<Definition>>();
  for (const list of filled) for (const capability of list) found.set(capability.outwardName, capability);
  const entry = { lists: filled, index: found };
  indexes.set(last, [entry, ...(indexes.get(last) ?? [])].slice(0, mostIndexes));
  return found;
}

interface Indexed {
  readonly lists: readonly (readonly unknown[])[];
  readonly index: ReadonlyMap<string, Capability<unknown>>;
}

// Toolboxes that hold the same are many, and each would have a table of its own of all that it holds.
const indexes = new WeakMap<readonly unknown[], readonly Indexed[]>();
const mostIndexes = 8;

function isSameLists(a: Indexed['lists'], b: Indexed['lists']): boolean {
  return a.length === b.length && a.every((list, at) => list === b[at]);
}

function uriSource({ contribution, isWhole, tools }: Share): UriSource {
  const { member, offer } = contribution;
  if (!isWhole) {
    const readable = readableUris(tools);
    return { member, readable, uris: [...readable], templates: [] };
  }
  const uris = offer.resources.map(({ uri }) => uri);
  return { member, readable: 'all', uris, templates: offer.resourceTemplates.map(({ uriTemplate }) => uriTemplate) };
}

// Whoever is given a tool by its name is given the page that shows its result (MCP Apps), and no other resource.
function readableUris(tools: readonly Capability<ToolDefinition>[]): ReadonlySet<string> {
  return new Set(tools.flatMap(({ definition }) => interfaceUris(definition)));
}

function mergeCaching(shares: readonly Share[]): Toolbox['caching'] {
  const stated = shares.map(({ contribution }) => contribution.offer.caching);
  const ttlMs = stated.length === 0 ? 0 : Math.min(...stated.map((caching) => caching?.ttlMs ?? 0));
  return Object.freeze({ ttlMs, cacheScope: 'private' });
}
