import type { Holder } from './documents.ts';

/** Of one secret: who made or rotated the key, and everyone who held what they did it with. */
export const mostHolders = 50;

/** Each person once: whoever came with another key of theirs, or of the same application, is there already. */
export function distinctHolders(holders: readonly Holder[]): Holder[] {
  return [...new Map(holders.map((holder) => [nameOf(holder), holder])).values()];
}

function nameOf({ id, member, consumer }: Holder): string {
  return JSON.stringify(member === undefined && consumer === undefined ? id : [member, consumer]);
}
