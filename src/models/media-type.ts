const byEnding: Readonly<Record<string, string>> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  heic: 'image/heic',
  pdf: 'application/pdf',
  txt: 'text/plain',
  md: 'text/markdown',
  html: 'text/html',
  csv: 'text/csv',
  mp3: 'audio/mpeg',
  wav: 'audio/wav',
  mp4: 'video/mp4',
};

/** The media type of what is at an address where only its kind was said (`image/*`): what its name ends in. */
export function exactMediaType(mediaType: string, url: string): string | undefined {
  if (!mediaType.includes('*')) return mediaType;
  const ending = /\.([a-z0-9]{1,5})(?:[?#]|$)/i.exec(url)?.[1]?.toLowerCase() ?? '';
  const found = Object.hasOwn(byEnding, ending) ? byEnding[ending] : undefined;
  const kind = mediaType.slice(0, mediaType.indexOf('*'));
  return found?.startsWith(kind) ? found : undefined;
}
