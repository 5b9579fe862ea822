import { expect, test } from 'vitest';
import { GatewayError } from '../../src/errors.ts';
import { Health } from '../../src/upstreams/health.ts';
import { LinkError } from '../../src/upstreams/link-error.ts';

function downBecause(error: Error): Health {
  const health = new Health('The upstream hr/people', { nowMs: () => 1_000 }, () => {});
  health.down(error, 5_000);
  return health;
}

test('what the setup of an upstream lacks is not said to callers, who hear whom to ask', () => {
  const health = downBecause(new GatewayError('bad_configuration', 'HR__TOKEN is not set.'));
  expect(health.lastError?.message).toBe('HR__TOKEN is not set.');
  const { code, message } = health.unavailable();
  expect(code).toBe('upstream_unavailable');
  expect(message).not.toContain('HR__TOKEN');
  expect(message).toMatch(/setup is not complete; whoever administers its namespace .*; the next attempt is in 5 s\.$/);
});

test('why one that is set up cannot be reached is', () => {
  const refused = new LinkError('upstream_unavailable', 'It is gone.', { detail: 'connection refused' });
  const health = downBecause(refused);
  expect(health.unavailable().message).toContain('(connection refused)');
  // What was lacking once is no reason any more.
  health.down(new GatewayError('bad_configuration', 'HR__TOKEN is not set.'), 5_000);
  health.down(refused, 5_000);
  expect(health.unavailable().message).toContain('(connection refused)');
});
