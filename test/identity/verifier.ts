import type { Clock } from '../../src/clock.ts';
import { GatewayError } from '../../src/errors.ts';
import { readIssuers, type TrustedIssuer } from '../../src/identity/issuers.ts';
import { createTokenVerifier, type TokenVerifier, type VerifiedToken } from '../../src/identity/verify-token.ts';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { createGuardedFetch } from '../../src/upstreams/guarded-fetch.ts';

export const publicUrl = 'https://gatehouse.example.com';
export const triage = `${publicUrl}/mcp/triage`;

/** The real time, as far as a test does not move it. */
class MovableClock implements Clock {
  #offsetMs = 0;

  nowMs(): number {
    return Date.now() + this.#offsetMs;
  }

  advance(ms: number): void {
    this.#offsetMs += ms;
  }
}

export interface TestVerifier extends TokenVerifier {
  readonly clock: MovableClock;
  readonly warnings: unknown[];
  /** What came of a token: whom it speaks for, or the code and the sentence of the refusal. */
  outcome(token: string, resource?: string): Promise<string>;
  accepted(token: string, resource?: string): Promise<VerifiedToken>;
  close(): Promise<void>;
}

/** A verifier that reaches this machine through the real egress guard. */
export function makeVerifier(...given: Readonly<Record<string, unknown>>[]): TestVerifier {
  const guard = createEgressGuard([{ kind: 'range', address: '127.0.0.1', prefix: 32, family: 'ipv4', port: undefined }]);
  const clock = new MovableClock();
  const warnings: unknown[] = [];
  const log = { warn: (fields: unknown) => void warnings.push(fields) };
  const verifier = createTokenVerifier({
    issuers: trust(...given),
    publicUrl,
    fetch: createGuardedFetch(guard),
    clock,
    log,
  });
  const accepted = async (token: string, resource = triage) => verifier.verify(token, resource);
  return {
    ...verifier,
    clock,
    warnings,
    accepted,
    outcome: async (token, resource) => {
      try {
        return (await accepted(token, resource)).principal;
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        return `${error.code}: ${error.message}`;
      }
    },
    close: () => guard.close(),
  };
}

export function trust(...given: Readonly<Record<string, unknown>>[]): readonly TrustedIssuer[] {
  const read = readIssuers(given);
  if ('flaws' in read) throw new Error(read.flaws.map(({ message }) => message).join('\n'));
  return read.value;
}
