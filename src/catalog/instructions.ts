import type { Contribution } from './contribution.ts';

/** A model reads instructions in full on every connection: one upstream may not fill its window, nor all together. */
const upstreamLimit = 4096;
const allLimit = 16_384;

/** One text of all members' instructions, each under its `namespace/upstream`; undefined when nobody has any. */
export function mergeInstructions(contributions: readonly Pick<Contribution, 'member' | 'instructions'>[]): string | undefined {
  const sections: string[] = [];
  let length = 0;
  for (const { member, instructions } of contributions) {
    const text = instructions?.trim();
    if (text === undefined || text === '') continue;
    const section = `## ${member.id}\n\n${cut(text, upstreamLimit)}`;
    if (length + section.length > allLimit) {
      sections.push('(Further instructions are left out: they are too long together.)');
      break;
    }
    length += section.length + 2;
    sections.push(section);
  }
  return sections.length === 0 ? undefined : sections.join('\n\n');
}

function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Not between the halves of a surrogate pair.
  const end = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1)) ? limit - 1 : limit;
  return `${text.slice(0, end)}...`;
}
