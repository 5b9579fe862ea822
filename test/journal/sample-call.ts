import type { CallFacts, CallResult } from '../../src/journal/record.ts';

export const key = Buffer.alloc(32, 7);

export const facts: CallFacts = {
  principal: 'key:admin',
  key: 'admin',
  consumer: 'billing',
  door: 'http',
  toolbox: 'triage',
  method: 'tools/call',
  capability: 'support/get_ticket',
  upstream: 'support/tickets',
  definition: 'hash of the definition',
  argumentsBytes: 96,
  decision: 'allow',
  rule: 'default',
  trace: 'ab'.repeat(16),
};

export const done: CallResult = { outcome: 'done', ms: 12.345, bytesIn: 96, bytesOut: 412 };
