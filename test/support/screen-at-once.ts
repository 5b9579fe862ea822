import type { ContentCheck } from '../../src/content/content-check.ts';
import { type ContentVerdict, inspecting, screening } from '../../src/content/screen.ts';
import { atOnce } from '../../src/turns.ts';
import type { Json } from '../../src/wire/json.ts';

/** What calls have judged in turns where it takes long, judged in one go. */
export function screenValue(check: ContentCheck, value: Json): ContentVerdict {
  return atOnce(screening(check, value, false));
}

/** The same for the bytes of a result. */
export function inspectBytes(check: ContentCheck, bytes: Buffer): ContentVerdict {
  return atOnce(inspecting(check, bytes));
}
