/** Who holds the secrets of a key: whoever was ever shown one can be who calls with it. */
import { GatewayError } from '../../errors.ts';
import type { Holder, KeyDocument } from '../../registry/documents.ts';
import { distinctHolders, mostHolders } from '../../registry/holders.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Caller } from './caller.ts';

type Keys = Pick<Registry, 'get'>;

/**
 * Everyone a secret of this key that is valid now was handed to; of one that was revoked, whoever made it. Whoever it belongs to is not
 * among them for that alone.
 */
export function holdersOf(registry: Keys | undefined, body: KeyDocument, nowMs: number): readonly Holder[] {
  return distinctHolders(everyHolder(registry, body, nowMs, new Set()));
}

/**
 * Everyone who is handed a secret that this caller is shown: the caller, and whoever holds the key they use, as that may be who they are.
 * Nobody for the operator. Throws GatewayError `conflict` where these are too many to be kept.
 */
export function holdersOfNew({ id, member, consumer, holders, isOperator }: Caller): Holder[] {
  if (isOperator) return [];
  const all = distinctHolders([holderFrom(id, member, consumer), ...holders]);
  if (all.length <= mostHolders) return all;
  throw new GatewayError(
    'conflict',
    `More than ${mostHolders} people hold the key that you use, through keys that were made with keys. Rotate it, or use another one.`,
  );
}

function everyHolder(
  registry: Keys | undefined,
  body: KeyDocument,
  nowMs: number,
  visited: ReadonlySet<string>,
): readonly Holder[] {
  const valid = body.secrets.filter(({ validUntilMs }) => nowMs < (validUntilMs ?? Number.POSITIVE_INFINITY));
  if (valid.length === 0) return makersOf(registry, body, nowMs, visited);
  return valid.flatMap(({ handedTo }) => handedTo ?? makersOf(registry, body, nowMs, visited));
}

/** For secrets that do not say themselves: whoever made the key, and whoever holds the key it was made with. */
function makersOf(
  registry: Keys | undefined,
  { issuedBy, issuer }: KeyDocument,
  nowMs: number,
  visited: ReadonlySet<string>,
): readonly Holder[] {
  const key = issuedBy.startsWith('key:') ? issuedBy.slice('key:'.length) : undefined;
  const used = key === undefined || visited.has(key) ? undefined : registry?.get('key', key)?.body;
  // A key that is in no registry, and a user of this machine: the operator.
  if (used === undefined && issuer === undefined && !issuedBy.startsWith('oauth:')) return [];
  const maker = holderFrom(issuedBy, issuer ?? used?.member, used?.consumer);
  if (key === undefined || used === undefined) return [maker];
  return [maker, ...everyHolder(registry, used, nowMs, new Set(visited).add(key))];
}

function holderFrom(id: string, member: string | undefined, consumer: string | undefined): Holder {
  return { id: id.slice(0, 512), ...(member === undefined ? {} : { member }), ...(consumer === undefined ? {} : { consumer }) };
}
