/** The bytes are not one JSON object that a message can be; `message` says what is wrong and at which byte. */
export class ScanError extends Error {
  /** A message that parses but must not be used: duplicate members or too deep. */
  readonly isRefusal: boolean;
  constructor(message: string, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}
