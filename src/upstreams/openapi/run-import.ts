/** What an import process does with its one job. It is ended by the one who started it. */
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { GatewayError } from '../../errors.ts';
import type { Operation } from './conversion.ts';
import { convertDocument } from './convert-document.ts';
import type { ImportJob, ImportMessage, ImportReply } from './import-process.ts';
import { loadReferences } from './load-references.ts';
import { writeOperations } from './operation-text.ts';
import { readDescription } from './read-description.ts';
import { validateDocument } from './validate-document.ts';

/** Parsed at one go by the event loop of the one who asked: a millisecond or two. */
const chunkCharacters = 128 * 1024;

/** Sent ahead of what was heard to have arrived. */
const chunksAhead = 4;

export async function runImport(): Promise<void> {
  process.on('disconnect', () => process.exit());
  const [[job], bytes] = await Promise.all([once(process, 'message'), buffer(process.stdin)]);
  try {
    await convert(job, bytes);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    send({ kind: 'refused', message: error.message });
  }
  // Until what was said has been heard.
  await once(process, 'disconnect');
}

async function convert({ url, limits, mayFetch }: ImportJob, bytes: Uint8Array): Promise<void> {
  const root = readDescription(bytes, limits);
  const others = mayFetch
    ? await loadReferences(root, url, bytes.byteLength, fetchByAsking, limits)
    : new Map<string, { readonly missing: string }>();
  const { head, operations, problems } = convertDocument({ root, rootUrl: url, others }, limits);
  send({ kind: 'head', head });
  await sendChunks(operations);
  // What comes now takes up to a second without a look at anything else: this has to be on its way before.
  await sendWhole({ kind: 'converted', problems: problems.all() });
  const convertedCpuMs = readCpuMs();
  const invalid = await validateDocument(root);
  send({ kind: 'validated', problems: invalid, usage: { convertedCpuMs, cpuMs: readCpuMs(), memoryMegabytes: readMemory() } });
}

function send(message: ImportMessage): void {
  process.send?.(message);
}

/** Resolves once it, and all before it, was handed to the operating system. */
function sendWhole(message: ImportMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/** As they are made: only what is on its way is held. */
async function sendChunks(operations: Iterable<Operation>): Promise<void> {
  let ahead = 0;
  let wake = () => {};
  const hear = () => {
    ahead--;
    wake();
  };
  process.on('message', hear);
  for (const text of writeOperations(operations, chunkCharacters)) {
    send({ kind: 'operations', text });
    ahead++;
    // Also lets what was sent go out.
    await new Promise((resolve) => setImmediate(resolve));
    while (ahead >= chunksAhead) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  process.off('message', hear);
}

async function fetchByAsking(url: string): Promise<Uint8Array | { readonly missing: string }> {
  const answered = once(process, 'message');
  send({ kind: 'fetch', url });
  const [reply]: ImportReply[] = await answered;
  return reply?.kind === 'fetched' ? reply.document : { missing: 'which was not fetched' };
}

function readCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return Math.round((user + system) / 1000);
}

function readMemory(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}
