import { z } from 'zod';

/** How lists that can grow long are asked for: by id, in its order. */
export const pageFields = {
  limit: z.int().min(1).max(1000).optional().describe('Most to show. Default: 200.'),
  after: z.string().max(200).optional().describe('The last id of the page before this one.'),
};

interface PageQuery {
  readonly limit?: number | undefined;
  readonly after?: string | undefined;
}

/** One page, and the id to ask for the next one with, where there is more. */
export function pageOf<Item extends { readonly id: string }>(
  items: readonly Item[],
  { limit = 200, after = '' }: PageQuery,
): { readonly items: readonly Item[]; readonly next?: string } {
  const rest = items.filter(({ id }) => id > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return rest.length > page.length && last !== undefined ? { items: page, next: last.id } : { items: page };
}
