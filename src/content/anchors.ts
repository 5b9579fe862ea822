/**
 * Words of ASCII, in lower case, whose presence opens a gate. In the text upper and lower case do not matter, and for a blank may
 * stand any white space, also as JSON escapes it.
 */
export interface Anchor {
  readonly text: string;
  readonly gate: number;
}

/** Calls `found` for every anchor in the bytes, roughly in order; a true answer ends the search. */
export type AnchorScan = (bytes: Uint8Array, found: (anchor: Anchor, at: number) => boolean) => void;

interface Candidate {
  readonly anchor: Anchor;
  readonly bytes: Buffer;
  /** Where the block stands in the anchor. */
  readonly offset: number;
}

const blockLength = 4;
const slotBits = 16;

/**
 * Makes a search for many words at once. Whatever the place of a word of six bytes, one of the three blocks of four at its start
 * stands at a multiple of three: only those are looked up, and none waits for the one before it. `shortest`: no word has fewer bytes.
 */
export function makeAnchorScan(anchors: readonly Anchor[], shortest = 6): AnchorScan {
  const stride = shortest - blockLength + 1;
  // One bit each, so that the table stays in the fastest cache: nearly all lookups end at it.
  const slots = new Int32Array(1 << (slotBits - 5));
  const buckets = new Map<number, Candidate[]>();
  for (const [anchor, spelling] of anchors.flatMap((one) => spellings(one.text, shortest).map((text) => [one, text] as const))) {
    const bytes = Buffer.from(spelling, 'latin1');
    if (bytes.length < shortest) throw new RangeError(`the anchor "${spelling}" is shorter than ${shortest} characters`);
    for (let offset = 0; offset < stride; offset++) {
      const slot = slotOf(bytes.readInt32LE(offset));
      slots[slot >>> 5] = (slots[slot >>> 5] ?? 0) | (1 << slot);
      buckets.set(slot, [...(buckets.get(slot) ?? []), { anchor, bytes, offset }]);
    }
  }
  return (bytes, found) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const last = bytes.length - blockLength;
    for (let at = 0; at <= last; at += stride) {
      const slot = slotOf(view.getInt32(at, true));
      if (((slots[slot >>> 5]! >>> slot) & 1) === 0) continue;
      if (reportCandidates(buckets.get(slot) ?? [], bytes, at, shortest, found)) return;
    }
  };
}

function reportCandidates(
  candidates: readonly Candidate[],
  bytes: Uint8Array,
  at: number,
  shortest: number,
  found: Parameters<AnchorScan>[1],
): boolean {
  for (const { anchor, bytes: word, offset } of candidates)
    if (standsAt(bytes, at - offset, word, shortest) && found(anchor, at - offset)) return true;
  return false;
}

// Five bits of each byte make both cases of a letter one; the multiplication spreads them (Knuth, TAOCP 6.4).
function slotOf(block: number): number {
  return Math.imul(block & 0x1f1f1f1f, -0x61c88647) >>> (32 - slotBits);
}

// A blank among the first bytes is part of what is looked up, and JSON may write a slash with a backslash.
function spellings(text: string, shortest: number): string[] {
  if (text.includes('/')) return [text, text.replace('/', '\\/')];
  const at = text.indexOf(' ');
  if (at < 0 || at >= shortest) return [text];
  return [' ', '  ', '\n', '\t', '\\n', '\\t', '\r\n', '\\r\\n'].map((blank) => text.replace(' ', blank));
}

function standsAt(bytes: Uint8Array, start: number, word: Buffer, shortest: number): boolean {
  if (start < 0) return false;
  let from = start;
  for (let at = 0; at < word.length; at++) {
    let byte = bytes[from] ?? 0;
    if (word[at] === 0x20 && at >= shortest) {
      const end = passBlanks(bytes, from);
      if (end === from) return false;
      from = end;
      continue;
    }
    if (byte >= 0x41 && byte <= 0x5a) byte |= 0x20;
    if (byte !== word[at]) return false;
    from++;
  }
  return true;
}

const mostBlanks = 32;

function passBlanks(bytes: Uint8Array, start: number): number {
  let at = start;
  for (const stop = start + mostBlanks; at < stop; ) {
    const byte = bytes[at];
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) at++;
    else if (byte === 0x5c && isEscapedBlank(bytes[at + 1])) at += 2;
    else break;
  }
  return at;
}

function isEscapedBlank(byte: number | undefined): boolean {
  return byte === 0x6e || byte === 0x72 || byte === 0x74;
}
