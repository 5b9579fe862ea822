import type { ServerResponse } from 'node:http';

// Node writes each chunk of an answer in four pieces, which the system takes as a list a moment later. Streams of models are made of
// many small chunks: written as one text of one byte per character they cost half.

/** What is longer goes out as Node writes it. */
const textLimitBytes = 32 * 1024;
/** Responses whose chunks are framed here (RFC 9112 section 7.1) and no longer by Node. */
const framed = new WeakSet<ServerResponse>();

/** Sends a part of an answer whose head was written and that has no length. Returns what `response.write` does. */
export function writeChunk(response: ServerResponse, bytes: Uint8Array): boolean {
  if (bytes.length === 0) return true;
  // Clients of HTTP/1.0 know no chunks: theirs end with the connection.
  if (response.chunkedEncoding) {
    response.chunkedEncoding = false;
    framed.add(response);
  }
  if (!framed.has(response)) return response.write(bytes);
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = `${bytes.length.toString(16)}\r\n`;
  if (bytes.length <= textLimitBytes) return response.write(`${size}${buffer.toString('latin1')}\r\n`, 'latin1');
  response.write(size, 'latin1');
  response.write(buffer);
  return response.write('\r\n', 'latin1');
}

/** Ends an answer that was begun with `writeChunk`, or has no part at all. */
export function writeLastChunk(response: ServerResponse, text = ''): void {
  if (!framed.has(response)) response.end(text);
  else if (text === '') response.end('0\r\n\r\n', 'latin1');
  else response.end(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`);
}
