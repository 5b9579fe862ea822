import type { UpstreamConfig } from './config.ts';
import { compileGlob } from './glob.ts';

/**
 * What one `include` or `exclude` line of a toolbox takes:
 * `namespace` everything in it, `namespace/name*` tools and prompts by name, `namespace/upstream/name*` only that upstream's.
 * Where the last part is `*`, resources come along: they have no names to choose by.
 */
export interface ToolboxPattern {
  readonly text: string;
  readonly namespace: string;
  readonly upstream: string | undefined;
  /** Takes everything, resources too. */
  readonly isWhole: boolean;
  /** Whether it looks into this upstream at all. */
  covers(upstream: Pick<UpstreamConfig, 'namespace' | 'name'>): boolean;
  coversNamespace(namespace: string): boolean;
  /** Whether it takes this name in a namespace it covers. */
  takes(name: string): boolean;
}

/** Undefined when the text has no meaning. */
export function readPattern(text: string): ToolboxPattern | undefined {
  const parts = text.split('/');
  if (parts.length > 3 || parts.includes('')) return undefined;
  const [namespace = ''] = parts;
  const upstream = parts.length === 3 ? parts[1] : undefined;
  const name = parts.length === 1 ? '*' : (parts.at(-1) ?? '');
  const hasNamespace = compileGlob(namespace);
  const hasUpstream = compileGlob(upstream ?? '*');
  return {
    text,
    namespace,
    upstream,
    isWhole: name === '*',
    coversNamespace: hasNamespace,
    covers: (config) => hasNamespace(config.namespace) && hasUpstream(config.name),
    takes: compileGlob(name),
  };
}
