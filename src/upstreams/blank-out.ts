/** What an upstream is sent in confidence must not come back to whoever asked: it, or a proxy before it, may repeat it. */

import { atOnce, inTurns, type Steps } from '../turns.ts';
import { findSpelled, shortest, spellingsOf } from './spellings.ts';

const namesOfSecrets = /authorization|(^|[-_])auth($|[-_])|key|token|secret|passw|cookie|credential|signature/i;

/** Secrets as answers may repeat them: as they are, as JSON writes them, also within a text that is JSON, and as addresses do. */
export function secretForms(secrets: Iterable<string>): readonly Buffer[] {
  const forms = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < shortest) continue;
    const once = inJson(secret);
    for (const form of [secret, once, inJson(once), encodeURIComponent(secret), inQuery(secret)]) {
      forms.add(form);
      if (form.includes('/')) forms.add(form.replaceAll('/', '\\/'));
    }
  }
  // The longest first: one form may be a part of another.
  return [...forms].sort((a, b) => b.length - a.length).map((form) => Buffer.from(form));
}

/** Values that are secret by the name they have: an `Authorization` written out, an `api_key` in an address. */
export function secretsByName(entries: Iterable<readonly [name: string, value: string]>): string[] {
  const named = [...entries].filter(([name]) => namesOfSecrets.test(name));
  // "Bearer", "Basic": the scheme is none, and whoever repeats the rest may leave it out.
  return named.map(([, value]) => value.slice(value.indexOf(' ') + 1));
}

/** Puts stars in the place of every one of them, however it is spelled. */
export function blankOut(bytes: Buffer, secrets: readonly Buffer[]): void {
  if (secrets.length > 0) atOnce(blankSteps(bytes, secrets));
}

/** The same, in turns with everybody else's work where there is much of it. Never rejects. */
export function blankInTurns(bytes: Buffer, secrets: readonly Buffer[]): void | Promise<void> {
  return secrets.length === 0 ? undefined : inTurns(blankSteps(bytes, secrets));
}

function* blankSteps(bytes: Buffer, secrets: readonly Buffer[]): Steps<void> {
  for (const secret of secrets) {
    for (let at = bytes.indexOf(secret), count = 1; at >= 0; at = bytes.indexOf(secret, at + secret.length), count++) {
      bytes.fill(0x2a, at, at + secret.length);
      if (count % 1024 === 0) yield;
    }
    yield;
  }
  for (const { start, end } of yield* findSpelled(bytes, spellingsOf(secrets))) bytes.fill(0x2a, start, end);
}

export function blankText(text: string, secrets: readonly Buffer[]): string {
  if (secrets.length === 0) return text;
  const bytes = Buffer.from(text);
  blankOut(bytes, secrets);
  return bytes.toString();
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** As a URL has it in its query, which escapes less. */
function inQuery(text: string): string {
  return URL.parse(`http://a/?${text}`)?.search.slice(1) ?? text;
}
