/** Refuses every token that no trusted issuer signed for this gateway, or that is not an access token (RFC 9068, RFC 8725). */
import { hash } from 'node:crypto';
import type { JWTPayload, JWTVerifyOptions } from 'jose';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type GuardedFetch, parseObject } from './discover-issuer.ts';
import { createIssuerKeys, type IssuerKeys, type IssuerStatus } from './issuer-keys.ts';
import type { TrustedIssuer } from './issuers.ts';
import { type MappedClaims, mapClaims } from './map-claims.ts';
import { TokenCache } from './token-cache.ts';

declare const verified: unique symbol;

/** Whom a valid token speaks for. The same object for the same token, for up to a minute. Only this file makes one. */
export interface VerifiedToken extends MappedClaims {
  readonly [verified]: true;
  /** `oauth:<issuer>#<sub>`, the latter percent-encoded: an issuer holds no `#`, so that no two people have the same. */
  readonly principal: string;
  readonly issuer: string;
  /** The client that the token was given to, where the issuer says it. */
  readonly clientId: string | undefined;
  /** Everything that it says, for rules. */
  readonly claims: JsonObject;
  readonly validUntilMs: number;
}

export interface TokenVerifier {
  /**
   * Whom a token speaks for, for a call of `resource`: the full address of the toolbox. At once for a token that was seen within
   * the last minute. Throws, or rejects with, GatewayError `unauthenticated` or `issuer_unavailable`.
   */
  verify(token: string, resource: string): VerifiedToken | Promise<VerifiedToken>;
  /** How each issuer is doing, for an operator. */
  status(): readonly IssuerStatus[];
}

interface VerifierPorts {
  readonly issuers: readonly TrustedIssuer[];
  /** The gateway's own address, without a slash at the end. A token for it is good for every toolbox. */
  readonly publicUrl: string;
  readonly fetch: GuardedFetch;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

const tokenLimit = 8192;
const mostRemembered = 10_000;
const longestPrincipal = 512;

/** What is remembered of a valid token. Its audience is not the same question for every toolbox, so it is asked each time. */
interface Seen {
  readonly token: VerifiedToken;
  readonly audiences: 'all' | ReadonlySet<string>;
}

interface Issuer {
  readonly rules: TrustedIssuer;
  readonly keys: IssuerKeys;
}

export function createTokenVerifier({ issuers, publicUrl, fetch, clock, log }: VerifierPorts): TokenVerifier {
  const trusted = new Map<string, Issuer>(
    issuers.map((rules) => [rules.issuer, { rules, keys: createIssuerKeys(rules, { fetch, clock, log }) }]),
  );
  const cache = new TokenCache<Seen>(clock, mostRemembered);

  const check = async (token: string, digest: string, resource: string): Promise<VerifiedToken> => {
    const { header, issuer } = open(token, trusted);
    const claims = await checkSignature(token, header, issuer, clock);
    const seen = judge(claims, header, issuer.rules, publicUrl);
    admit(seen, resource);
    cache.set(digest, seen, seen.token.validUntilMs);
    return seen.token;
  };

  return {
    verify(token, resource) {
      if (token.length > tokenLimit) {
        throw refused(`This token is longer than ${tokenLimit} characters; ask its issuer for one with fewer claims.`);
      }
      const digest = hash('sha256', token, 'hex');
      const seen = cache.get(digest);
      return seen === undefined ? check(token, digest, resource) : admit(seen, resource);
    },
    status: () => Array.from(trusted.values(), ({ keys }) => keys.status()),
  };
}

/** Whether a bearer value can only be meant as a signed token: three parts, the first of them a JSON object in base64url. */
export function looksLikeToken(bearer: string): boolean {
  return bearer.startsWith('eyJ') && bearer.split('.', 4).length === 3;
}

function admit({ token, audiences }: Seen, resource: string): VerifiedToken {
  if (audiences === 'all' || audiences.has(resource)) return token;
  throw refused(
    'This token was issued for another address. Ask the issuer for one with this address as its "resource" (RFC 8707), or have the operator set the "audience" that it gives.',
  );
}

/** What a token says before anything about it is proven: enough to know whose key to ask for. */
function open(token: string, trusted: ReadonlyMap<string, Issuer>): { readonly header: JsonObject; readonly issuer: Issuer } {
  const [head = '', body = '', signature = '', ...more] = token.split('.', 4);
  const header = decode(head);
  const payload = decode(body);
  if (header === undefined || payload === undefined || signature === '' || more.length > 0)
    throw refused(
      'This is neither a key of this gateway nor a signed token (JWT). Tokens that only their issuer can read are not taken.',
    );
  const issuer = typeof payload.iss === 'string' ? trusted.get(payload.iss) : undefined;
  if (issuer === undefined)
    throw refused(
      'The issuer of this token is not trusted here. The protected resource metadata of this address lists those that are; a slash at the end counts.',
    );
  checkHeader(header, issuer.rules);
  return { header, issuer };
}

function decode(part: string): JsonObject | undefined {
  return /^[A-Za-z0-9_-]+$/.test(part) ? parseObject(Buffer.from(part, 'base64url').toString('utf8')) : undefined;
}

const accessTokenTypes: ReadonlySet<unknown> = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt', 'application/jwt']);

function checkHeader({ alg, typ, kid, crit }: JsonObject, { algorithms }: TrustedIssuer): void {
  if (!algorithms.some((name) => name === alg))
    throw refused(`This token is not signed with an algorithm that is taken from its issuer: ${algorithms.join(', ')}.`);
  if (crit !== undefined) throw refused('This token has a "crit" header, which names rules that this gateway does not know.');
  if (!accessTokenTypes.has(typeof typ === 'string' ? typ.toLowerCase() : typ))
    throw refused('This is a token of another kind; send an access token.');
  if (kid !== undefined && typeof kid !== 'string') throw refused('The "kid" of this token is not text.');
}

async function checkSignature(token: string, header: JsonObject, { rules, keys }: Issuer, clock: Clock): Promise<JWTPayload> {
  const key = await keys.find({ alg: String(header.alg), ...(typeof header.kid === 'string' ? { kid: header.kid } : {}) });
  const options: JWTVerifyOptions = {
    algorithms: [...rules.algorithms],
    issuer: rules.issuer,
    clockTolerance: rules.clockToleranceMs / 1000,
    maxTokenAge: rules.maxTokenAgeMs / 1000,
    currentDate: new Date(clock.nowMs()),
    requiredClaims: ['exp', 'iat', 'sub', 'aud'],
  };
  // Twenty times the rest of this file to load, and not needed by a gateway that knows only keys.
  const { jwtVerify } = await import('jose/jwt/verify');
  try {
    return (await jwtVerify(token, key, options)).payload;
  } catch (error) {
    throw refused(explain(error, await import('jose/errors')), error);
  }
}

/** What a client's developer can do about it. Whatever the library throws is about the token: nothing else went in. */
function explain(error: unknown, errors: typeof import('jose/errors')): string {
  if (error instanceof errors.JWTExpired)
    return error.claim === 'iat'
      ? 'This token was issued too long ago to be taken here; get a new one from the issuer.'
      : 'This token has expired; get a new one from the issuer.';
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'The signature of this token is wrong.';
  if (!(error instanceof errors.JWTClaimValidationFailed)) return 'This token cannot be read as a signed token (JWT).';
  const { claim, reason } = error;
  if (reason === 'missing') return `This token lacks the claim "${claim}", which an access token has (RFC 9068).`;
  if (reason === 'check_failed' && (claim === 'nbf' || claim === 'iat'))
    return 'This token is not valid yet; compare the clocks of the issuer and of this gateway.';
  return `The claim "${claim}" of this token is not as it must be.`;
}

function judge(claims: JWTPayload, header: JsonObject, rules: TrustedIssuer, publicUrl: string): Seen {
  checkKind(claims, header);
  const { sub, aud, exp = 0, iat = 0 } = claims;
  if (typeof sub !== 'string' || sub === '' || sub.length > 512 || !sub.isWellFormed())
    throw refused('The claim "sub" of this token is not text of at most 512 characters.');
  const audiences = audiencesOf(aud, rules.audiences, publicUrl);
  const principal = `oauth:${rules.issuer}#${encodeURIComponent(sub)}`;
  // Cut off, two people would be one wherever it is kept.
  if (principal.length > longestPrincipal)
    throw refused(`The claims "iss" and "sub" of this token make a name of more than ${longestPrincipal} characters.`);
  const mapped = mapClaims(rules.claims, claims, principal);
  if (mapped.isNameless && !rules.claims.takesNameless)
    throw refused(
      'This token does not say who its owner is, and its issuer is to name everybody. Ask for one with the scope that does, e.g. "email".',
    );
  const clientId = [claims.client_id, claims.azp].find((id) => typeof id === 'string' && id.length <= 256);
  const validUntilMs = Math.min(exp * 1000, iat * 1000 + rules.maxTokenAgeMs) + rules.clockToleranceMs;
  const said = { claims: isObject(claims) ? claims : {}, validUntilMs };
  const facts = { principal, issuer: rules.issuer, clientId, ...said, ...mapped };
  return { token: Object.freeze(facts) as unknown as VerifiedToken, audiences };
}

/**
 * An ID token says who signed in, to one client; it is no right to call anybody. Where its header does not tell, its claims do:
 * hashes of what was issued beside it, a nonce without scopes, or the kind that Keycloak writes into each token.
 */
function checkKind(claims: JWTPayload, { typ }: JsonObject): void {
  const has = (name: string) => Object.hasOwn(claims, name);
  const isMarked = typeof typ === 'string' && typ.toLowerCase().endsWith('at+jwt');
  const isOther = has('typ') && claims.typ !== 'Bearer';
  const isIdToken = has('at_hash') || has('c_hash') || has('s_hash') || (has('nonce') && !has('scope') && !has('scp'));
  if (!isMarked && (isOther || isIdToken || has('events')))
    throw refused('This is an ID token or a token of another kind; send the access token that came with it.');
  // Taken without its proof it would be worth as much to a thief as to its owner (RFC 9449, RFC 8705).
  if (has('cnf'))
    throw refused('This token is bound to a key of its client ("cnf"); this gateway takes plain bearer tokens only.');
}

function audiencesOf(aud: unknown, configured: TrustedIssuer['audiences'], publicUrl: string): Seen['audiences'] {
  const named = [aud].flat().filter((item) => typeof item === 'string');
  const isForAll = configured === undefined ? (item: string) => item === publicUrl || item === `${publicUrl}/` : undefined;
  if (named.some((item) => isForAll?.(item) ?? configured?.has(item))) return 'all';
  return new Set(configured === undefined ? named : []);
}

function refused(message: string, cause?: unknown): GatewayError {
  return new GatewayError('unauthenticated', message, { cause });
}
