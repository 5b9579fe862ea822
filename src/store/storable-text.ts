/** A text as every database can take it. PostgreSQL refuses U+0000, and half a surrogate pair comes back as another character. */
export function storableText(text: string, longest = 300): string {
  return text.slice(0, longest).toWellFormed().replaceAll('\0', '\u{FFFD}');
}
