/** Bodies of many megabytes, parsed as they come: all at once would hold up everybody else. */
import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { GatewayError } from '../../errors.ts';
import { takeTurns } from '../../turns.ts';
import { ExcessError, GradualJson } from '../../wire/gradual-json.ts';
import type { Json } from '../../wire/json.ts';

const sizes = new WeakMap<Request, number>();

/** Of a body that was read here. */
export function largeBodyBytes(request: Request): number | undefined {
  return sizes.get(request);
}

/**
 * Puts the JSON of the body where Express does: an object, or none for another type. Refuses with GatewayError `body_too_large`,
 * `unsupported_media_type`, `parse_error` and `invalid_request`.
 */
export function readLargeJson(limitBytes: number): RequestHandler {
  return async (request: Request, _response: Response, next: NextFunction): Promise<void> => {
    if (request.is('application/json') !== false) request.body = await read(request, limitBytes);
    next();
  };
}

async function read(request: Request, limitBytes: number): Promise<Json> {
  if (Number(request.headers['content-length']) > limitBytes) throw tooLarge();
  try {
    return await parse(request, limitBytes);
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    if (error instanceof ExcessError) throw new GatewayError('invalid_request', `The body cannot be read: it ${error.message}.`);
    if (request.complete) throw new GatewayError('parse_error', 'The body of the request is not valid JSON.');
    throw new GatewayError('invalid_request', 'The request broke off before its body was complete.');
  }
}

async function parse(request: Request, limitBytes: number): Promise<Json> {
  const turn = takeTurns();
  const decoder = new TextDecoder();
  const gradual = new GradualJson();
  let bytes = 0;
  // Whoever sent too much is told so, on the same connection.
  for await (const chunk of bodyOf(request).iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw tooLarge();
    gradual.push(decoder.decode(chunk, { stream: true }));
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  sizes.set(request, bytes);
  if (bytes === 0) return {};
  gradual.push(decoder.decode());
  return gradual.end().value;
}

function bodyOf(request: Request): Readable {
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = request.headers;
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8';
  const decompress = decompressors[encoding.toLowerCase()];
  if (/^utf-?8$/i.test(charset) && encoding.toLowerCase() === 'identity') return request;
  if (/^utf-?8$/i.test(charset) && decompress !== undefined) return pipeline(request, decompress(), () => {});
  throw new GatewayError(
    'unsupported_media_type',
    'The body is in a character set or a content encoding that is not read here; send UTF-8.',
  );
}

const decompressors: Readonly<Record<string, () => Transform>> = Object.assign(Object.create(null), {
  gzip: createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
});

function tooLarge(): GatewayError {
  return new GatewayError('body_too_large', 'The request is larger than it may be (GATEHOUSE_BODY_LIMIT_BYTES).');
}
