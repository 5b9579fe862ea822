import { z } from 'zod';
import { keptDigest, keptReference } from '../catalog/description-files.ts';
import { GatewayError } from '../errors.ts';
import { keepDescription, openDescription } from '../registry/descriptions.ts';
import type { Documents } from '../registry/documents.ts';
import type { Edit } from '../registry/registry.ts';
import { descriptionLimitBytes } from '../upstreams/upstream.ts';
import type { AdminPorts } from './action.ts';
import type { Entry } from './examine-upstream.ts';

/** The two ways in which an action is given an API description. */
export const documentFields = {
  document: z
    .string()
    .min(1)
    .max(descriptionLimitBytes)
    .meta({ contentMediaType: 'application/yaml' })
    .optional()
    .describe('For an HTTP API: its OpenAPI or Swagger description, as YAML or JSON.'),
  documentUrl: z
    .string()
    .max(2048)
    .optional()
    .describe('In place of "document": the public https address to fetch it from, once.'),
};

interface GivenDocument {
  readonly document?: string | undefined;
  readonly documentUrl?: string | undefined;
}

/** An entry as it is kept, and its API description where its kind has one. */
export interface Described {
  readonly entry: Entry;
  /** Undefined for other kinds, and where the entry has none. */
  readonly document: { readonly bytes: Buffer; readonly kept: Documents['description'] } | undefined;
}

/**
 * Puts a reference in place of an API description's text. Where none is given, the one that is kept stays. Throws GatewayError
 * `bad_arguments` where an address gives none.
 */
export async function describeEntry(
  ports: AdminPorts,
  id: string,
  given: Entry,
  { document, documentUrl }: GivenDocument,
): Promise<Described> {
  if (document !== undefined && documentUrl !== undefined)
    throw new GatewayError('bad_arguments', 'There is either "document" or "documentUrl"; leave one out.');
  const written = typeof given.document === 'string' && keptDigest(given.document) === undefined ? given.document : undefined;
  const known = ports.registry.get('description', id)?.body;
  const isKept = known !== undefined && given.kind === undefined && given.url === undefined && given.command === undefined;
  const isGiven = document !== undefined || documentUrl !== undefined || written !== undefined;
  if (given.kind !== 'openapi' && !isGiven && !isKept) return { entry: { kind: 'mcp', ...given }, document: undefined };
  const text = document ?? (documentUrl === undefined ? written : undefined);
  const fetched = documentUrl === undefined ? undefined : await fetchDocument(ports, documentUrl);
  const received = text === undefined ? fetched : Buffer.from(text);
  const kept = received === undefined ? known : await keepDescription(received);
  if (kept === undefined) return { entry: { ...given, kind: 'openapi' }, document: undefined };
  const bytes = received ?? (await openDescription(kept));
  return { entry: { kind: 'openapi', ...given, document: keptReference(kept.sha256) }, document: { bytes, kept } };
}

/** What has to be written so that an upstream's description is the one it was examined with: nothing where it is already. */
export function documentEdits(
  { registry }: Pick<AdminPorts, 'registry'>,
  id: string,
  kept: Documents['description'] | undefined,
): readonly Edit[] {
  const known = registry.get('description', id)?.body;
  if (known?.sha256 === kept?.sha256) return [];
  return [{ kind: 'description', id, body: kept }];
}

const fetchWithinMs = 30_000;
const mostRedirects = 3;

async function fetchDocument({ fetchDocument: get }: AdminPorts, address: string): Promise<Buffer> {
  const signal = AbortSignal.timeout(fetchWithinMs);
  let url = URL.parse(address);
  for (let hops = 0; url !== null && hops <= mostRedirects; hops++) {
    if (url.protocol !== 'https:' && url.protocol !== 'http:') break;
    const accept = 'application/openapi+json, application/json, application/yaml, text/yaml, */*;q=0.5';
    const response = await get(url, { headers: { accept }, signal }).catch(() => undefined);
    if (response === undefined) break;
    const { status, headers, body } = response;
    if (status === 200) return await readDocument(body, signal);
    await body?.cancel();
    if (status < 300 || status >= 400 || status === 304)
      throw new GatewayError(
        'bad_arguments',
        `${url.origin} answered HTTP ${status} and no API description. Check the address, or give the text as "document".`,
      );
    // Every hop is checked like the first.
    url = URL.parse(headers.get('location') ?? '', url.href);
  }
  // In the same words whatever is there: nobody learns from them what is inside.
  throw new GatewayError(
    'bad_arguments',
    'The API description could not be fetched: its address must be public and https, or be allowed with GATEHOUSE_EGRESS_ALLOW by whoever runs this gateway, and answer in time. Or give the text as "document".',
  );
}

async function readDocument(body: AsyncIterable<Uint8Array> | null, signal: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body ?? []) {
      size += chunk.length;
      if (size > descriptionLimitBytes) break;
      chunks.push(chunk);
    }
  } catch {
    throw new GatewayError(
      'bad_arguments',
      signal.aborted ? 'The API description did not arrive in time.' : 'The API description broke off.',
    );
  }
  if (size > descriptionLimitBytes)
    throw new GatewayError('bad_arguments', `The API description is larger than ${descriptionLimitBytes} bytes.`);
  if (size === 0) throw new GatewayError('bad_arguments', 'The address answered with nothing.');
  return Buffer.concat(chunks);
}
