export const budgets = [
  `create table budgets (
     key text not null primary key, window_start_ms bigint not null, window_end_ms bigint not null, spent bigint not null
   )`,
  'create index budgets_window_end on budgets (window_end_ms)',
] as const;
