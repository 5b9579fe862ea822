const lf = 0x0a;
const cr = 0x0d;

/** Cuts a stream of chunks into lines. A line longer than `limitBytes` throws RangeError. */
export class LineReader {
  readonly #limitBytes: number;
  readonly #onLine: (line: Buffer) => void;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(limitBytes: number, onLine: (line: Buffer) => void) {
    this.#limitBytes = limitBytes;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(lf, from);
      const piece = end < 0 ? chunk.subarray(from) : chunk.subarray(from, end);
      if (this.#restBytes + piece.length > this.#limitBytes) {
        this.#rest = [];
        this.#restBytes = 0;
        throw new RangeError(`a line is longer than ${this.#limitBytes} bytes`);
      }
      if (end < 0) {
        if (piece.length > 0) {
          this.#rest.push(piece);
          this.#restBytes += piece.length;
        }
        return;
      }
      from = end + 1;
      const line = this.#rest.length === 0 ? piece : Buffer.concat([...this.#rest, piece]);
      this.#rest = [];
      this.#restBytes = 0;
      this.#onLine(line.at(-1) === cr ? line.subarray(0, -1) : line);
    }
  }
}
