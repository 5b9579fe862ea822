import { crc32 } from 'node:zlib';

/** One message of an AWS event stream: string headers, then the payload. */
export function encodeAwsMessage(headers: Readonly<Record<string, string>>, payload: string | Buffer): Buffer {
  const head = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(Buffer.byteLength(value));
      return Buffer.concat([Buffer.of(Buffer.byteLength(name)), Buffer.from(name), Buffer.of(7), length, Buffer.from(value)]);
    }),
  );
  return frameAwsMessage(head, Buffer.from(payload));
}

/** The same around headers that are encoded already. */
export function frameAwsMessage(head: Buffer, payload: Buffer): Buffer {
  const message = Buffer.alloc(12 + head.length + payload.length + 4);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(head.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  head.copy(message, 12);
  payload.copy(message, 12 + head.length);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}

export function encodeAwsEvent(type: string, data: unknown): Buffer {
  const headers = { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' };
  return encodeAwsMessage(headers, JSON.stringify(data));
}

export function encodeAwsException(type: string, message: string): Buffer {
  const headers = { ':exception-type': type, ':content-type': 'application/json', ':message-type': 'exception' };
  return encodeAwsMessage(headers, JSON.stringify({ message }));
}
