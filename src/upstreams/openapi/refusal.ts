/** Arguments from which no request can be made, in a sentence that says how to repair them. Nothing was sent. */
export class Refusal extends Error {
  constructor(message: string) {
    // Thrown for the caller's sake: where it was thrown is of no interest.
    const depth = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = depth;
  }
}
