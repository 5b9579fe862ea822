export const reviews = [
  'create table definitions (hash text not null primary key, body text not null, kept_at_ms bigint not null)',
  'create index definitions_kept on definitions (kept_at_ms)',
] as const;
