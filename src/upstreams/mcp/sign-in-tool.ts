import { RawResult } from '../../wire/message.ts';
import type { Answer, Offer, ToolDefinition, UpstreamCall } from '../upstream.ts';

/**
 * The one tool that Gatehouse adds to an upstream whose callers sign in: before the first of them has, nobody can be told what
 * the upstream offers, and without a tool there is nothing to call that could ask for it.
 */
export class SignInTool {
  readonly #definition: ToolDefinition;
  readonly #id: string;
  #inner: Offer | undefined;
  #offer: Offer | undefined;

  /** `id` is `namespace/name`. */
  constructor(id: string) {
    this.#id = id;
    this.#definition = {
      name: `sign_in_${id.slice(id.indexOf('/') + 1)}`,
      title: `Sign in to ${id}`,
      description: `Asks the person behind this client to sign in to ${id}. Needed once, before its other tools can be listed or called.`,
      inputSchema: { type: 'object', properties: {}, additionalProperties: false },
      annotations: { readOnlyHint: true, openWorldHint: false },
    };
  }

  /**
   * What the upstream offers, with the tool; the same object as long as the former is. Its lists were read with the grant of one
   * person, so what they say of that person's own things is left out: resources, and news of them.
   */
  addTo(offer: Offer): Offer {
    if (this.#offer !== undefined && this.#inner === offer) return this.#offer;
    this.#inner = offer;
    const definition = this.#definition;
    const isTaken = offer.tools.some(({ name }) => name === definition.name);
    this.#offer = Object.freeze({
      ...offer,
      tools: isTaken ? offer.tools : [...offer.tools, definition],
      resources: [],
      can: { ...offer.can, subscribe: false },
      signIn: isTaken ? undefined : definition,
    });
    return this.#offer;
  }

  /** The answer to a call of the tool by somebody who is signed in; undefined for every other call. */
  answer({ method, params, tool }: UpstreamCall): Answer | undefined {
    if (method !== 'tools/call' || tool !== this.#definition || params.name !== this.#definition.name) return undefined;
    const text = `You are signed in to ${this.#id}. Its tools can be called; if they are not listed yet, list the tools again.`;
    return { kind: 'result', result: RawResult.from({ content: [{ type: 'text', text }] }) };
  }
}
