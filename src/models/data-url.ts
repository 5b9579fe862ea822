export interface DataUrl {
  /** Without parameters, in lower case. */
  readonly mediaType: string;
  /** Base64. */
  readonly data: string;
}

const longestHead = 200;

/** A base64 `data:` URL (RFC 2397), or undefined for any other text. Looks at the head only: the rest may be megabytes. */
export function readDataUrl(text: string): DataUrl | undefined {
  if (text.slice(0, 5).toLowerCase() !== 'data:') return undefined;
  const comma = text.slice(0, longestHead).indexOf(',');
  if (comma < 0) return undefined;
  const [mediaType = '', ...parameters] = text.slice(5, comma).toLowerCase().split(';');
  if (parameters.at(-1)?.trim() !== 'base64') return undefined;
  return { mediaType: mediaType.trim() === '' ? 'text/plain' : mediaType.trim(), data: text.slice(comma + 1) };
}

export function writeDataUrl({ mediaType, data }: DataUrl): string {
  return `data:${mediaType};base64,${data}`;
}
