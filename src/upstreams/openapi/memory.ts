import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, gunzip, gzip } from 'node:zlib';
import type { ApiTransport } from '../../catalog/config.ts';
import type { RememberedUpstream } from '../../store/ports/upstream-memory.ts';
import { takeTurns } from '../../turns.ts';
import type { Conversion, Operation } from './conversion.ts';
import { readOperations, writeOperations } from './operation-text.ts';

/** Changes with the description's bytes, what it may refer to, and the program that read them. Ends with the bytes' hash. */
export function fingerprint(
  { description, references }: Pick<ApiTransport, 'description' | 'references'>,
  version: string,
): string {
  const allowed = references.length === 0 ? '' : `${createHash('sha256').update(JSON.stringify(references)).digest('hex')} `;
  return `openapi ${version} ${allowed}${description.sha256}`;
}

const compress = promisify(gzip);
const expand = promisify(gunzip);
const chunkCharacters = 64 * 1024;

/**
 * For the store, which takes it at one go: a megabyte where it would be fifty. A line of JSON without the operations, then one for
 * each chunk of them, compressed. Others have their turn meanwhile.
 */
export async function encodeMemory({ operations, ...conversion }: Conversion): Promise<string> {
  const turn = takeTurns();
  const lines = [Buffer.from(JSON.stringify(conversion))];
  for (const chunk of writeOperations(operations, chunkCharacters)) {
    lines.push(Buffer.from(`\n${chunk}`));
    await turn();
  }
  const packed = await compress(Buffer.concat(lines), { level: constants.Z_BEST_SPEED });
  return JSON.stringify({ gzip: packed.toString('base64') });
}

/** Undefined where nothing usable is remembered; without `wanted`, whatever description it was. Others have their turn meanwhile. */
export async function decodeMemory(remembered: RememberedUpstream | undefined, wanted?: string): Promise<Conversion | undefined> {
  if (remembered === undefined || !remembered.fingerprint.startsWith('openapi ')) return undefined;
  if (wanted !== undefined && remembered.fingerprint !== wanted) return undefined;
  try {
    // Our own store wrote it.
    const packed: { readonly gzip: string } = JSON.parse(remembered.state);
    return await readLines(await expand(Buffer.from(packed.gzip, 'base64')));
  } catch {
    return undefined;
  }
}

async function readLines(bytes: Buffer): Promise<Conversion> {
  const turn = takeTurns();
  const lines = linesOf(bytes);
  const conversion: Omit<Conversion, 'operations'> = JSON.parse(lines.next().value ?? '');
  const operations: Operation[] = [];
  const read = readOperations();
  for (const line of lines) {
    for (const operation of read(JSON.parse(line))) operations.push(operation);
    await turn();
  }
  return { ...conversion, operations };
}

function* linesOf(bytes: Buffer): Generator<string, undefined> {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(10, start);
    const stop = end === -1 ? bytes.length : end;
    yield bytes.toString('utf8', start, stop);
    start = stop + 1;
  }
}
