const smallBytes = 512;
const tailMaxBytes = 65_536;
const empty = Buffer.alloc(0);

/**
 * Gathers what arrives in pieces. A lone piece is given back as it is; of several, the small ones and those that would
 * keep a much larger buffer alive are copied together, so that a megabyte in pieces of one byte costs about a megabyte.
 * There is no limit here: look at `length` before pushing.
 */
export class Pieces {
  #length = 0;
  #lone: Buffer | undefined;
  #done: Buffer[] = [];
  #tail = empty;
  #tailLength = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#length === 0) {
      this.#lone = bytes;
    } else {
      if (this.#lone !== undefined) this.#add(this.#lone);
      this.#lone = undefined;
      this.#add(bytes);
    }
    this.#length += bytes.length;
  }

  /** Everything pushed since the last time, as one buffer. */
  take(): Buffer {
    const lone = this.#lone;
    const length = this.#length;
    this.#lone = undefined;
    this.#length = 0;
    if (lone !== undefined || length === 0) return lone ?? empty;
    this.#endTail();
    const done = this.#done;
    this.#done = [];
    return done.length === 1 ? (done[0] ?? empty) : Buffer.concat(done, length);
  }

  #add(bytes: Buffer): void {
    if (bytes.length >= smallBytes && bytes.length * 2 >= bytes.buffer.byteLength) {
      this.#endTail();
      this.#done.push(bytes);
      return;
    }
    for (let from = 0; from < bytes.length; ) {
      if (this.#tailLength === this.#tail.length) this.#growTail();
      const copied = bytes.copy(this.#tail, this.#tailLength, from);
      this.#tailLength += copied;
      from += copied;
    }
  }

  #growTail(): void {
    if (this.#tail.length === tailMaxBytes) this.#endTail();
    const larger = Buffer.allocUnsafeSlow(Math.max(smallBytes, this.#tail.length * 2));
    this.#tail.copy(larger);
    this.#tail = larger;
  }

  #endTail(): void {
    if (this.#tailLength > 0) this.#done.push(this.#tail.subarray(0, this.#tailLength));
    this.#tail = empty;
    this.#tailLength = 0;
  }
}
