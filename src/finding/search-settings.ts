import { z } from 'zod';

// The one definition of `search` in gatehouse.yaml. Descriptions are read by the person who writes it.

/** How what is in toolboxes is found. */
export interface SearchSettings {
  /** Whether clients of `/mcp` are shown a search in place of the list of all tools; `auto`: where that is long. */
  readonly everything: 'on' | 'off' | 'auto';
  /** Groups of words and phrases that mean the same. */
  readonly synonyms: readonly (readonly string[])[];
}

const phrase = z
  .string()
  .regex(/\p{L}|\p{N}/u, 'A synonym holds at least one letter or digit.')
  .max(100, 'A synonym has at most 100 characters.');

const schema = z.strictObject({
  everything: z.union([z.boolean(), z.literal('auto')], 'Write true, false or auto.').optional(),
  synonyms: z.array(z.array(phrase).min(2, 'A group names at least two words that mean the same.').max(50)).max(2000).optional(),
});

/** Checks what gatehouse.yaml says. Every flaw at once. */
export function readSearchSettings(
  value: unknown,
):
  | { readonly value: SearchSettings }
  | { readonly flaws: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] } {
  const read = schema.safeParse(value, { jitless: true });
  if (!read.success) return { flaws: read.error.issues.map(({ path, message }) => ({ path, message: `"search": ${message}` })) };
  const { everything = false, synonyms = [] } = read.data;
  return { value: { everything: everything === 'auto' ? 'auto' : everything ? 'on' : 'off', synonyms } };
}
