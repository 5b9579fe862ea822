export const auditIndex = [
  `create table audit_calls (
     chain text not null, id text not null, seq bigint not null, at_ms bigint not null, kind text not null,
     caller text, consumer text, capability text, upstream text, decision text, outcome text, code text,
     ms double precision, trace text, record text, result text,
     primary key (chain, id)
   )`,
  'create index audit_calls_at on audit_calls (at_ms)',
  'create index audit_calls_caller on audit_calls (caller, at_ms)',
  'create index audit_calls_capability on audit_calls (capability, at_ms)',
  // Most calls are done, and most have no trace: those need no place in these.
  'create index audit_calls_code on audit_calls (code, at_ms) where code is not null',
  'create index audit_calls_trace on audit_calls (trace) where trace is not null',
  'create table audit_heads (chain text not null primary key, seq bigint not null, hash text not null)',
] as const;
