/** What an import thread does with its one job. */
import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { GatewayError } from '../../errors.ts';
import { convertDocument } from './convert-document.ts';
import type { ImportJob, ImportMessage, ImportReply } from './import-worker.ts';
import { loadReferences } from './load-references.ts';
import { readDescription } from './read-description.ts';
import { validateDocument } from './validate-document.ts';

/** Parsed at one go by the event loop: a millisecond or two. */
const chunkCharacters = 128 * 1024;

export async function runImport(job: ImportJob, port: MessagePort): Promise<void> {
  const send = (message: ImportMessage) => port.postMessage(message);
  try {
    const root = readDescription(job.bytes, job.limits);
    const fetch = async (url: string) => {
      const reply = await ask(port, { kind: 'fetch', url });
      return reply.kind === 'fetched' ? reply.document : { missing: 'which was not fetched' };
    };
    const others = job.mayFetch
      ? await loadReferences(root, job.url, job.bytes.byteLength, fetch, job.limits)
      : new Map<string, never>();
    const { head, operations, problems } = convertDocument({ root, rootUrl: job.url, others }, job.limits);
    send({ kind: 'head', head });
    for (const text of chunksOf(operations)) await ask(port, { kind: 'operations', text });
    send({ kind: 'converted', problems: problems.all() });
    send({ kind: 'validated', problems: await validateDocument(root) });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    send({ kind: 'refused', message: error.message });
  } finally {
    port.close();
  }
}

async function ask(port: MessagePort, message: ImportMessage): Promise<ImportReply> {
  const answered = once(port, 'message');
  port.postMessage(message);
  const [reply]: ImportReply[] = await answered;
  return reply ?? { kind: 'more' };
}

/** As they are made: only what is on its way is held. */
function* chunksOf(operations: Iterable<unknown>): Generator<string> {
  let texts: string[] = [];
  let size = 0;
  for (const operation of operations) {
    const text = JSON.stringify(operation);
    texts.push(text);
    size += text.length;
    if (size < chunkCharacters) continue;
    yield `[${texts.join(',')}]`;
    texts = [];
    size = 0;
  }
  if (texts.length > 0) yield `[${texts.join(',')}]`;
}
