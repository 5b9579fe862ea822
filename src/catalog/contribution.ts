import { isAscii } from '../content/fold.ts';
import { findHiddenText } from '../content/hidden-text.ts';
import type {
  Offer,
  PromptDefinition,
  ResourceDefinition,
  ResourceTemplateDefinition,
  ToolDefinition,
} from '../upstreams/upstream.ts';
import { capabilityName, outwardName } from './capability-name.ts';
import type { Capability, CatalogProblem, Member } from './catalog.ts';
import type { UpstreamConfig } from './config.ts';
import { type Definition, type DefinitionKind, hashDefinition } from './definition.ts';
import { compileGlob } from './glob.ts';
import { publishPrompt, publishResource, publishTemplate, publishTool, withoutHiding } from './publish.ts';
import { mapUri } from './resource-uri.ts';

/** What one upstream brings to the catalog under its outward names, before other upstreams are looked at. */
export interface Contribution {
  readonly member: Member;
  readonly offer: Offer;
  readonly tools: readonly Capability<ToolDefinition>[];
  readonly prompts: readonly Capability<PromptDefinition>[];
  readonly resources: readonly Capability<ResourceDefinition>[];
  readonly resourceTemplates: readonly Capability<ResourceTemplateDefinition>[];
  /** What its upstream says of itself, where it is what was approved. */
  readonly instructions: string | undefined;
  /** What is neither listed nor callable because nobody approved it in this form. */
  readonly held: readonly HeldDefinition[];
  readonly problems: readonly CatalogProblem[];
}

/** A definition that waits for somebody to approve it. */
export interface HeldDefinition {
  readonly kind: DefinitionKind;
  readonly definition: Definition;
  readonly hash: string;
  /** `changed`: another definition of this name was approved. */
  readonly why: 'changed' | 'added';
}

/** What is approved of one upstream; the same object until that changes. */
export interface Approved {
  /** Whether a definition of this hash may be served, or why not. */
  verdict(kind: DefinitionKind, name: string, hash: string): 'approved' | HeldDefinition['why'];
  /** Whether these instructions are those of what is approved. */
  takesInstructions(instructions: string): boolean;
}

/** Says what is approved of a member's offer; undefined where everything is. */
export type ApprovedOf = (member: Member, offer: Offer) => Approved | undefined;

interface Known {
  readonly approved: Approved | undefined;
  readonly contribution: Contribution;
}

// An offer is the same object until it changes, so one upstream's news costs nothing for all others.
const remembered = new WeakMap<Member, Known>();

/** The contribution of a member's present offer; the same object, with the same published definitions, while that stays. */
export function contribute(member: Member, approvedOf?: ApprovedOf): Contribution {
  const offer = member.upstream.offer();
  const approved = approvedOf?.(member, offer);
  const known = remembered.get(member);
  if (known?.contribution.offer === offer && known.approved === approved) return known.contribution;
  const contribution = makeContribution(member, offer, approved);
  remembered.set(member, { approved, contribution });
  return contribution;
}

function makeContribution(member: Member, offer: Offer, approved: Approved | undefined): Contribution {
  const { config } = member;
  const problems: CatalogProblem[] = offer.problems.map(({ subject, message }) => ({ upstream: member.id, subject, message }));
  const isWanted = compileWanted(config);
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
    hashOf: (definition: Definition) => string | undefined,
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
      const hash = hashOf(definition);
      found.set(outward, Object.freeze({ outwardName: outward, name: nameOf(outward), member, definition, published, hash }));
    }
    return Object.freeze([...found.values()]);
  }

  const held: HeldDefinition[] = [];
  const hashOf = (definition: Definition) => hashDefinition(definition, offer.instructions).hash;
  function pass<Kind extends Definition>(kind: DefinitionKind, definitions: readonly Kind[]): readonly Kind[] {
    return definitions.filter((definition) => {
      if (definition === offer.signIn) return true;
      if (!isWanted(definition)) return false;
      const { name } = definition;
      const flaw = findNameFlaw(name);
      if (flaw !== undefined)
        problems.push({ upstream: member.id, subject: name, message: `The ${kind} is not listed: ${flaw}` });
      const hash = hashOf(definition);
      const verdict = approved?.verdict(kind, name, hash) ?? 'approved';
      if (verdict === 'approved' || flaw !== undefined) return flaw === undefined;
      held.push(Object.freeze({ kind, definition, hash, why: verdict }));
      problems.push({ upstream: member.id, subject: name, message: explainHeld(kind, verdict) });
      return false;
    });
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
      pass('tool', offer.tools),
      byName,
      nameOutward,
      (tool, name) => publishTool(tool, name, toClient, offer.filledIn),
      shortName,
      hashOf,
    ),
    prompts: collect(pass('prompt', offer.prompts), byName, nameOutward, publishPrompt, shortName, hashOf),
    resources: collect(offer.resources, ({ uri }) => uri, toClient, publishResource, ofUpstream, noHash),
    resourceTemplates: collect(
      offer.resourceTemplates,
      ({ uriTemplate }) => uriTemplate,
      toClient,
      publishTemplate,
      ofUpstream,
      noHash,
    ),
    instructions: takenInstructions(offer, approved),
    held: Object.freeze(held),
    problems: Object.freeze(problems),
  });
}

const noHash = () => undefined;

function takenInstructions({ instructions }: Offer, approved: Approved | undefined): string | undefined {
  if (instructions === undefined || approved?.takesInstructions(instructions) === false) return undefined;
  return withoutHiding(instructions);
}

// Two names that look alike are one to whoever reads a list or approves a call.
function findNameFlaw(name: string): string | undefined {
  if (isAscii(name)) return undefined;
  const [hidden] = findHiddenText(name);
  return hidden && `its name holds what a reader does not see. ${hidden.title}. Have its upstream rename it.`;
}

function explainHeld(kind: DefinitionKind, why: HeldDefinition['why']): string {
  return why === 'changed'
    ? `The ${kind} is held back: its definition is not the one that was approved. Decide on the change with list_submissions and review_submission.`
    : `The ${kind} is held back: its upstream offers it since the others were approved. Decide on it with list_submissions and review_submission.`;
}

/** Whether an entry takes what its upstream offers by this name. */
export function compileWanted({
  include,
  exclude,
}: Pick<UpstreamConfig, 'include' | 'exclude'>): (definition: { readonly name: string }) => boolean {
  const includes = include.map(compileGlob);
  const excludes = exclude.map(compileGlob);
  return ({ name }) => includes.some((test) => test(name)) && !excludes.some((test) => test(name));
}
