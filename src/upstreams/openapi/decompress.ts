import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { LinkError } from '../link-error.ts';
import type { ApiResponse } from './exchange.ts';

const ways = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
};

/**
 * Some servers compress what nobody asked them to. Rejects with LinkError `answer_too_large`, or `upstream_failed` where it is none of
 * the known ways.
 */
export async function decompress(response: ApiResponse, subject: string, limitBytes: number): Promise<ApiResponse> {
  const encoding = (response.headers['content-encoding'] ?? '').toLowerCase();
  if (response.body.length === 0) return response;
  const way = Object.hasOwn(ways, encoding) ? ways[encoding as keyof typeof ways] : undefined;
  const { status } = response;
  try {
    if (way !== undefined) return { ...response, body: await way(response.body, { maxOutputLength: limitBytes }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new LinkError('answer_too_large', `${subject} sent more than the ${limitBytes} bytes an answer may have.`, {
        status,
      });
  }
  const what = 'compressed its answer in a way that cannot be read';
  throw new LinkError('upstream_failed', `${subject} ${what}. The call may have been carried out.`, { status, detail: what });
}
