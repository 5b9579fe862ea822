export const registry = [
  `create table registry_state (
     id integer not null primary key, revision bigint not null, mark text not null, restored_at_ms bigint, backup_made_at_ms bigint
   )`,
  "insert into registry_state (id, revision, mark) values (1, 0, '')",
  'create table registry_commits (revision bigint not null primary key, mark text not null, at_ms bigint not null)',
  `create table documents (
     kind text not null, id text not null, body text not null, revision bigint not null, is_removed integer not null,
     updated_at_ms bigint not null, primary key (kind, id)
   )`,
  'create index documents_revision on documents (revision)',
  `create table change_records (
     revision bigint not null, place integer not null, at_ms bigint not null, actor text not null, action text not null,
     kind text not null, id text not null, detail text not null, primary key (revision, place)
   )`,
  'create index change_records_actor on change_records (actor, revision)',
  'create index change_records_document on change_records (kind, id, revision)',
  'create index change_records_time on change_records (at_ms)',
  'create table key_uses (key_id text not null primary key, last_used_at_ms bigint not null)',
  `create table master_keys (
     version integer not null primary key, fingerprint text not null, made_at_ms bigint not null, retired_at_ms bigint
   )`,
  'create table data_keys (id text not null primary key, version integer not null, wrapped text not null)',
  'create index data_keys_version on data_keys (version)',
] as const;
