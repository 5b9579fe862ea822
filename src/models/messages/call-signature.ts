// Some providers want to see a signature again with each tool call, and Anthropic's tool_use has no place for one. A client
// returns redacted_thinking as it came, so that is what carries it: right after its call.
const prefix = 'gatehouse-call-signature:';

export function writeCallSignature(signature: string): { readonly type: 'redacted_thinking'; readonly data: string } {
  return { type: 'redacted_thinking', data: `${prefix}${signature}` };
}

export function readCallSignature(data: string): string | undefined {
  return data.startsWith(prefix) ? data.slice(prefix.length) : undefined;
}
