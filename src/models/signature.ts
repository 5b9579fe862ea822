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

/** Undefined for one that is known to be another maker's. */
export function signatureForClaude(signature: string | undefined): string | undefined {
  return signature === undefined || signature === '' || signature.startsWith(geminiMark) ? undefined : signature;
}
