export const firstTables = [
  'create table keys (id text not null primary key, hash text not null, created_at_ms bigint not null)',
  'create table sealing_keys (purpose text not null primary key, version integer not null, sealed text not null)',
  `create table upstream_memory (
     id text not null primary key, fingerprint text not null, state text not null, saved_at_ms bigint not null
   )`,
  `create table sessions (
     id text not null primary key, is_ended integer not null, state text not null, last_used_at_ms bigint not null
   )`,
  'create index sessions_last_used on sessions (last_used_at_ms)',
] as const;
