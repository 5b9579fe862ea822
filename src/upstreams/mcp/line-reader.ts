import { Pieces } from '../../wire/pieces.ts';

const lf = 0x0a;
const cr = 0x0d;

/** Cuts a stream of chunks into lines. A line longer than `limitBytes` throws RangeError. */
export class LineReader {
  /** May be raised at any time. */
  limitBytes: number;
  readonly #onLine: (line: Buffer) => void;
  #rest = new Pieces();

  constructor(limitBytes: number, onLine: (line: Buffer) => void) {
    this.limitBytes = limitBytes;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(lf, from);
      const piece = end < 0 ? chunk.subarray(from) : chunk.subarray(from, end);
      if (this.#rest.length + piece.length > this.limitBytes) {
        this.#rest = new Pieces();
        throw new RangeError(`a line is longer than ${this.limitBytes} bytes`);
      }
      if (end < 0) {
        this.#rest.push(piece);
        return;
      }
      from = end + 1;
      let line = piece;
      if (this.#rest.length > 0) {
        this.#rest.push(piece);
        line = this.#rest.take();
      }
      this.#onLine(line.at(-1) === cr ? line.subarray(0, -1) : line);
    }
  }
}
