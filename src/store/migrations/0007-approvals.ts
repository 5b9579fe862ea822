export const approvals = [
  `create table approvals (
     id text not null primary key, digest text not null, state text not null, version bigint not null,
     caller text not null, key_id text, consumer text, member text,
     namespace text not null, capability text not null, upstream text not null, toolbox text not null, tool text not null,
     definition text not null, policy text not null, gates text not null, decisions text not null, arguments text not null,
     note text not null, replaced_by text, outcome text, rounds bigint not null,
     requested_at_ms bigint not null, expires_at_ms bigint not null, updated_at_ms bigint not null
   )`,
  // A call that is asked for twice at once waits once.
  "create unique index approvals_open on approvals (digest) where state in ('pending', 'approved')",
  'create index approvals_digest on approvals (digest, requested_at_ms)',
  'create index approvals_requested on approvals (requested_at_ms, id)',
  'create index approvals_state on approvals (state, expires_at_ms)',
  'create index approvals_updated on approvals (updated_at_ms)',
  `create table approval_events (
     approval_id text not null, version bigint not null, at_ms bigint not null, actor text not null, action text not null,
     detail text not null, primary key (approval_id, version)
   )`,
] as const;
