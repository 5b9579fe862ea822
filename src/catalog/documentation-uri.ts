import type { ResourceTemplateDefinition } from '../upstreams/upstream.ts';
import type { Toolbox } from './catalog.ts';

const prefix = 'gatehouse://docs/';

/** How clients learn of the documentation that can be read, where a list of it all would be as long as that of the tools. */
export const documentationTemplate: ResourceTemplateDefinition = Object.freeze({
  name: 'documentation',
  title: 'Documentation of a tool',
  uriTemplate: `${prefix}{namespace}/{name}`,
  description: 'What a tool does, what it takes and gives, with examples, errors and limits.',
  mimeType: 'text/markdown',
});

/** Whether Gatehouse answers for this URI in a toolbox. One that shows an upstream as it is shows the upstream's URIs. */
export function isDocumentation({ uris }: Pick<Toolbox, 'uris'>, uri: string): boolean {
  return uri.startsWith(prefix) && !uris.isIdentity;
}

/** `namespace/name` of the capability that a URI is about; undefined for anything else. */
export function documentedBy(uri: string): string | undefined {
  const [, name] = /^gatehouse:\/\/docs\/([a-z0-9-]{1,24}\/[A-Za-z0-9_-]{1,64})$/.exec(uri) ?? [];
  return name;
}

export function documentationUri(capability: string): string {
  return `${prefix}${capability}`;
}
