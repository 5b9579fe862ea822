import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { Pieces } from '../wire/pieces.ts';
import type { BodyShare } from './body-room.ts';

/**
 * A request's whole body. Throws GatewayError `body_too_large` as soon as it is known, `invalid_request` when the client leaves, and
 * `too_busy` where there is no room for it.
 */
export function readBody(request: IncomingMessage, limitBytes: number, share?: BodyShare): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > limitBytes) {
      reject(tooLarge(limitBytes));
      return;
    }
    const body = new Pieces();
    request.on('data', (chunk: Buffer) => {
      try {
        if (body.length + chunk.length > limitBytes) throw tooLarge(limitBytes);
        share?.grow(body.length + chunk.length);
        body.push(chunk);
      } catch (error) {
        request.pause();
        reject(error);
      }
    });
    request.on('end', () => resolve(body.take()));
    request.on('close', () => {
      if (!request.complete) reject(new GatewayError('invalid_request', 'The request broke off before its body was complete.'));
    });
  });
}

function tooLarge(limitBytes: number): GatewayError {
  return new GatewayError('body_too_large', `The request is larger than ${limitBytes} bytes (GATEHOUSE_BODY_LIMIT_BYTES).`);
}
