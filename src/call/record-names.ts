/** Records of one request that are named after it. */
const mostNames = 9;

/**
 * Names for the records that one request leaves: nearly always one, which has the request's own id. What is called again after its person
 * was asked, and what is asked of models meanwhile, follow as `<id>-2` and so on; beyond that they have no name.
 */
export function namesOf(requestId: string): () => string | undefined {
  let given = 0;
  return () => {
    given++;
    if (given === 1) return requestId;
    return given > mostNames ? undefined : `${requestId}-${given}`;
  };
}

/** All that the records of a request may be named; of any other name that one alone. */
export function namesAfter(name: string): readonly string[] {
  if (!/^[0-9a-f]{24}$/.test(name)) return [name];
  return [name, ...Array.from({ length: mostNames - 1 }, (_, at) => `${name}-${at + 2}`)];
}
