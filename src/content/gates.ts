/** Which rules can match in a text at all. */
import type { Steps } from '../turns.ts';
import type { ContentCheck } from './content-check.ts';
import { hasHiding } from './fold.ts';
import { foreignAnchors } from './injection/words.ts';
import { gate } from './rule.ts';
import { foreignSafetyAnchors } from './safety-words.ts';

/** The gates a text opens; `foreign` only if something in its characters is worth a closer look. */
export function openGates(check: ContentCheck, text: string): number {
  let open = check.look(Buffer.from(text));
  // JSON in a text has escapes of its own.
  if ((open & gate.escaped) !== 0) open = (open & ~gate.escaped) | (/\\u00[2-7]/.test(text) ? gate.encoded & check.gates : 0);
  if ((open & gate.foreign) === 0) return open;
  return (open & ~gate.foreign) | lookAtForeign(text);
}

/** What characters beyond ASCII make necessary; 0 when they are just letters. */
function lookAtForeign(text: string): number {
  let open = hasHiding(text) ? gate.foreign : 0;
  if (foreignAnchors.test(text)) open |= gate.foreign | gate.injectionWords;
  if (foreignSafetyAnchors.test(text)) open |= gate.safetyWords;
  return open;
}

/** So much is looked at in one step. */
export const lookedAtOnce = 65_536;
/** Whatever opens a gate is not as long: what lies across the end of one part is seen with the next. */
export const overlap = 1024;

/** The gates that a text of any length opens. Stops at the first ones where more than `most` characters are not read anyway. */
export function* gatesOf(check: ContentCheck, text: string, most: number): Steps<number> {
  let open = 0;
  for (let from = 0; from < text.length; from += lookedAtOnce) {
    open |= openGates(check, text.slice(Math.max(0, from - overlap), from + lookedAtOnce));
    if (open !== 0 && (text.length > most || (check.gates & ~open) === 0)) break;
    if (from + lookedAtOnce < text.length) yield;
  }
  return open;
}

/** Whether no rule can match anywhere in these bytes of JSON. */
export function looksClean(check: ContentCheck, json: Buffer): boolean {
  const open = check.look(json);
  if ((open & ~gate.foreign) !== 0) return false;
  return open === 0 || lookAtForeign(json.toString('utf8')) === 0;
}

/** The same for any number of them. */
export function* looksCleanInSteps(check: ContentCheck, json: Buffer): Steps<boolean> {
  for (let from = 0; from < json.length; from += lookedAtOnce) {
    if (!looksClean(check, json.subarray(Math.max(0, from - overlap), from + lookedAtOnce))) return false;
    if (from + lookedAtOnce < json.length) yield;
  }
  return true;
}
