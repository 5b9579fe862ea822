export const approvalResults = [
  'create table approval_results (approval_id text not null primary key, result text not null, kept_at_ms bigint not null)',
  'create index approval_results_kept on approval_results (kept_at_ms)',
] as const;
