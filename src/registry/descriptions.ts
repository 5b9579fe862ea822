import { webcrypto } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { DescriptionSource } from '../catalog/config.ts';
import { GatewayError } from '../errors.ts';
import { descriptionLimitBytes } from '../upstreams/upstream.ts';
import type { Documents } from './documents.ts';
import type { Registry } from './registry.ts';

const { subtle } = webcrypto;
const compress = promisify(gzip);
const expand = promisify(gunzip);

/** An API description as the registry keeps it. */
export async function keepDescription(bytes: Buffer): Promise<Documents['description']> {
  // Away from the event loop, both of them.
  const [digest, packed] = await Promise.all([subtle.digest('SHA-256', bytes), compress(bytes)]);
  return { sha256: Buffer.from(digest).toString('hex'), bytes: bytes.length, gzip: packed.toString('base64') };
}

export async function openDescription({ gzip: kept, bytes }: Documents['description']): Promise<Buffer> {
  return await expand(Buffer.from(kept, 'base64'), { maxOutputLength: Math.min(bytes, descriptionLimitBytes) });
}

/** Reads API descriptions wherever they are kept. Rejects with GatewayError `bad_configuration`. */
export function descriptionReader(registry: Registry): (source: DescriptionSource, upstreamId: string) => Promise<Buffer> {
  return async (source, upstreamId) => {
    if (source.kind === 'file') return await readFileOf(source.path);
    const kept = registry.get('description', upstreamId)?.body;
    if (kept === undefined || kept.sha256 !== source.sha256)
      throw new GatewayError('bad_configuration', `The API description of ${upstreamId} is not there; register it again.`);
    return await openDescription(kept);
  };
}

async function readFileOf(path: string): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size <= descriptionLimitBytes) return await readFile(path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new GatewayError('bad_configuration', `${path} cannot be read (${reason}); check that it exists and who may read it.`);
  }
  throw new GatewayError('bad_configuration', `${path} is larger than ${descriptionLimitBytes} bytes.`);
}
