import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';

/** Largest file or input that a command takes: what a gateway takes as a configuration. Other bodies have a limit of their own there. */
const limitBytes = 64 * 1024 * 1024;

export type TextRead = { readonly text: string } | { readonly problem: string };

/** The text of a file, or of standard input where its name is `-`. */
export async function readText(file: string): Promise<TextRead> {
  const name = file === '-' ? 'Standard input' : file;
  try {
    const bytes = await readAll(file === '-' ? process.stdin : createReadStream(file));
    if (bytes === undefined) return { problem: `${name} is larger than ${limitBytes} bytes.` };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { problem: `There is no file ${file}.` };
    return { problem: code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? `${name} is not UTF-8 text.` : message };
  }
}

async function readAll(source: Readable): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
