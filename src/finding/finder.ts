import type { Capability, Member, Toolbox } from '../catalog/catalog.ts';
import { callToolName, searchToolName } from '../catalog/search-tools.ts';
import { GatewayError } from '../errors.ts';
import { builtInConfig, builtInHealth } from '../upstreams/built-in.ts';
import {
  type Answer,
  emptyOffer,
  type Offer,
  type ToolDefinition,
  type Upstream,
  type UpstreamCall,
  type UpstreamHealth,
} from '../upstreams/upstream.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { RawResult } from '../wire/message.ts';
import type { Synonyms } from './synonyms.ts';

interface FinderPorts {
  /** The toolbox of this name as its caller sees it. Throws GatewayError `not_found`. */
  readonly visible: (caller: object | undefined, ip: string, toolbox: string) => Toolbox;
  /** Groups of this company's words that mean the same. */
  readonly synonyms: readonly (readonly string[])[];
  /** The documentation of what has this URI in a toolbox, as Markdown; undefined where there is no such thing. */
  readonly document: (toolbox: Toolbox, uri: string, caller: object | undefined) => Promise<string | undefined>;
}

/** Most characters of definitions in one answer: what comes last is left out. The first is always whole. */
const mostCharacters = 200_000;
const usualLimit = 5;

/**
 * Searches and describes what is in a toolbox. It is an upstream like any other, so that each search takes the path of a call: known by
 * whom, limited and on record.
 */
export class Finder implements Upstream {
  readonly id = finderConfig.id;
  readonly kind = finderConfig.kind;
  readonly #ports: FinderPorts;
  #loading: Promise<Searching> | undefined;
  #calls = { succeeded: 0, failed: 0 };

  constructor(ports: FinderPorts) {
    this.#ports = ports;
  }

  start(): void {}

  /** It is asked by name and offers nothing. */
  offer(): Offer {
    return nothing;
  }

  async ready(): Promise<void> {}

  health(): UpstreamHealth {
    return builtInHealth(this.#calls);
  }

  async call({ method, params, caller, ip = '' }: UpstreamCall): Promise<Answer> {
    const toolbox = this.#ports.visible(caller, ip, String(params.toolbox ?? ''));
    const result = method === 'tools/call' ? await this.#search(toolbox, params) : await this.#read(toolbox, params, caller);
    this.#calls = { ...this.#calls, succeeded: this.#calls.succeeded + 1 };
    return { kind: 'result', result: RawResult.from(result) };
  }

  async #search(toolbox: Toolbox, { name, arguments: given }: JsonObject): Promise<JsonObject> {
    const { query, limit } = isObject(given) ? given : {};
    if (name !== searchToolName || typeof query !== 'string') throw new GatewayError('bad_arguments', '"query" must be text.');
    this.#loading ??= loadSearching(this.#ports.synonyms);
    const { search } = await this.#loading;
    const found = await search(toolbox, query, typeof limit === 'number' ? limit : usualLimit);
    const tools = within(mostCharacters, found.map(shown));
    return {
      content: [{ type: 'text', text: tools.length === 0 ? nothingFits : JSON.stringify({ tools }) }],
      structuredContent: { tools },
    };
  }

  async #read(toolbox: Toolbox, { uri }: JsonObject, caller: object | undefined): Promise<JsonObject> {
    const text = await this.#ports.document(toolbox, String(uri), caller);
    if (text === undefined)
      throw new GatewayError('unknown_capability', `Resource not found: ${String(uri).slice(0, 200)}`, { data: { uri } });
    return { contents: [{ uri: String(uri), mimeType: 'text/markdown', text }] };
  }

  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  notify(): void {}
  endSession(): void {}
  onChange(): () => void {
    return () => {};
  }
  async close(): Promise<void> {}
}

interface Searching {
  readonly search: (toolbox: Toolbox, question: string, limit: number) => Promise<readonly Capability<ToolDefinition>[]>;
}

// What searches is loaded by the first search: most starts have no use for it.
async function loadSearching(own: readonly (readonly string[])[]): Promise<Searching> {
  const [{ searchToolbox }, { allSynonyms }] = await Promise.all([import('./search-toolbox.ts'), import('./synonyms.ts')]);
  const synonyms: Synonyms = allSynonyms(own);
  return { search: (toolbox, question, limit) => searchToolbox(toolbox, question, limit, synonyms) };
}

const nothingFits = 'No tool fits. Say it in other words, or more generally.';

function shown({ published }: Capability<ToolDefinition>): JsonObject {
  const { name, title, description, inputSchema } = published;
  return {
    name,
    ...(typeof title === 'string' ? { title } : {}),
    ...(typeof description === 'string' ? { description } : {}),
    inputSchema,
  };
}

function within(most: number, tools: readonly JsonObject[]): JsonObject[] {
  let characters = 0;
  return tools.filter((tool, place) => {
    characters += JSON.stringify(tool).length;
    return place === 0 || characters <= most;
  });
}

const nothing: Offer = Object.freeze({ ...emptyOffer, isStale: false });

/** The namespace that Gatehouse's own tools are recorded under. */
const ownNamespace = 'gatehouse';

/** What rules and records call its tools, and the documentation that is read. */
export const finderCapabilities: ReadonlyMap<string, string> = new Map(
  [searchToolName, callToolName, 'documentation'].map((name) => [`${ownNamespace}/${name}`, ownNamespace]),
);

const finderConfig = builtInConfig({
  namespace: ownNamespace,
  name: 'finder',
  kind: 'finder',
  timeoutMs: 30_000,
  maxDurationMs: 60_000,
});

/** The finder as toolboxes hold it. */
export function finderMember(upstream: Finder): Member {
  return Object.freeze({ id: finderConfig.id, config: finderConfig, upstream });
}
