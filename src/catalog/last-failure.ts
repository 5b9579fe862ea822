import type { UpstreamHealth } from '../upstreams/upstream.ts';
import type { Member } from './catalog.ts';

/** What everybody may know of a setup that lacks something. */
export const unsaid = 'Its setup is not complete.';

/**
 * Why an upstream fails, as everybody may know it who may call it. What its setup lacks, and what that is called, is for those who
 * administer it.
 */
export function lastFailure({ config, upstream }: Member): UpstreamHealth['lastError'] {
  const { state, lastError } = upstream.health();
  const isUnready = config.missingSecrets !== undefined || (config.kind === 'model' && state === 'down');
  return lastError === undefined || !isUnready ? lastError : { ...lastError, message: unsaid };
}
