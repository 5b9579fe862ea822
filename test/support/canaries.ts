import { randomBytes } from 'node:crypto';

/** A secret that can be found again, however it was written. */
export interface Canary {
  readonly name: string;
  readonly value: string;
  /** Byte strings that give it away. */
  readonly traces: readonly Buffer[];
}

/** With quotes and slashes in the middle where its place takes them, so that escaped forms differ; its ends are the same in all of them. */
export function plantCanary(name: string, middle = ''): Canary {
  const [head, tail] = [randomBytes(12).toString('hex'), randomBytes(12).toString('hex')];
  return { name, value: `${head}${middle}${tail}`, traces: [head, tail].flatMap((text) => tracesOf(Buffer.from(text))) };
}

/** For secrets whose form is not ours to choose: of all their bytes. */
export function knownCanary(name: string, value: string, bytes = Buffer.from(value)): Canary {
  return { name, value, traces: [...tracesOf(Buffer.from(value)), ...tracesOf(bytes), bytes] };
}

/** Raw, hex, base64 at each of its three alignments; JSON and URLs leave the ends of a canary as they are. */
function tracesOf(bytes: Buffer): Buffer[] {
  const hex = bytes.toString('hex');
  const base64 = [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last digits also hold bits of what stands beside it.
    return text.slice(offset === 0 ? 0 : offset + 1, -1);
  });
  const url = base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'));
  return [...new Set([bytes.toString('latin1'), hex, hex.toUpperCase(), ...base64, ...url])].map((text) =>
    Buffer.from(text, 'latin1'),
  );
}

/** Where a canary was found: the names of what was looked through. */
export function findCanaries(canaries: readonly Canary[], sinks: ReadonlyMap<string, Buffer | string>): string[] {
  const found: string[] = [];
  for (const [sink, content] of sinks) {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (const { name, traces } of canaries) {
      const at = traces.map((trace) => bytes.indexOf(trace)).find((place) => place >= 0);
      if (at !== undefined)
        found.push(`${name} in ${sink}: ${bytes.subarray(Math.max(0, at - 120), at + 60).toString('latin1')}`);
    }
  }
  return found;
}
