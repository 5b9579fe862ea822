export const notices = [
  `create table notices (
     channel text not null, id text not null, event text not null, tried bigint not null, due_at_ms bigint not null,
     primary key (channel, id)
   )`,
  'create index notices_due on notices (channel, due_at_ms)',
] as const;
