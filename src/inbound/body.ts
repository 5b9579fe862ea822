import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';

/** A request's whole body. Throws GatewayError `body_too_large` as soon as it is known, `invalid_request` when the client leaves. */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > limitBytes) {
      reject(tooLarge(limitBytes));
      return;
    }
    let first: Buffer | undefined;
    let rest: Buffer[] | undefined;
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > limitBytes) {
        request.pause();
        reject(tooLarge(limitBytes));
      } else if (first === undefined) {
        first = chunk;
      } else {
        rest ??= [first];
        rest.push(chunk);
      }
    });
    request.on('end', () => resolve(rest === undefined ? (first ?? empty) : Buffer.concat(rest, length)));
    request.on('close', () => {
      if (!request.complete) reject(new GatewayError('invalid_request', 'The request broke off before its body was complete.'));
    });
  });
}

const empty = Buffer.alloc(0);

function tooLarge(limitBytes: number): GatewayError {
  return new GatewayError('body_too_large', `The request is larger than ${limitBytes} bytes (GATEHOUSE_BODY_LIMIT_BYTES).`);
}
