/**
 * What a model wants to see again of its own reasoning is worth nothing to another maker's model, which refuses the whole request
 * for it. So what Gemini gives is marked on its way out, and unmarked on its way back. Claude's stays as it is: it is the same
 * wherever Claude runs.
 */
const geminiMark = 'gemini.';

export function markForGemini(signature: string): string {
  return geminiMark + signature;
}

/** Undefined for one that Gemini did not give. */
export function signatureForGemini(signature: string | undefined): string | undefined {
  return signature?.startsWith(geminiMark) ? signature.slice(geminiMark.length) : undefined;
}

/** Undefined for one, or for a sealed thought, that is known to be another maker's. */
export function signatureForClaude(signature: string | undefined): string | undefined {
  if (signature === undefined || signature === '' || signature.startsWith(geminiMark)) return undefined;
  return signature.startsWith(openaiStart) ? undefined : signature;
}

/**
 * What OpenAI seals is a Fernet token, and those all begin so (github.com/fernet/spec: version 0x80, then a time in 64 bits).
 * It needs no mark, which requests that are passed on as they are would not carry.
 */
const openaiStart = 'gAAAA';

/** Undefined for one that OpenAI did not give. */
export function signatureForOpenai(signature: string | undefined): string | undefined {
  return signature?.startsWith(openaiStart) ? signature : undefined;
}
