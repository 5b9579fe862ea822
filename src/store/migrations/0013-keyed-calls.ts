// Calls whose clients gave them a key: who makes each, and what came of it.
export const keyedCalls = [
  `create table keyed_calls (
     key text not null primary key, request text not null, holder text not null, answer text,
     leased_until_ms bigint not null, expires_ms bigint not null
   )`,
  'create index keyed_calls_expires on keyed_calls (expires_ms)',
] as const;
