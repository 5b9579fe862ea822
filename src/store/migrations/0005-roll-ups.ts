// One column per latency bucket: an upsert can add to a column, and to nothing else that SQLite and PostgreSQL both have.
export const rollUps = [
  `create table roll_ups (
     minute_ms bigint not null, namespace text not null, capability text not null, consumer text not null, key_id text not null,
     member text not null, upstream text not null, code text not null,
     calls bigint not null, total_us bigint not null, bytes_in bigint not null, bytes_out bigint not null,
     tokens_in bigint not null, tokens_out bigint not null, cost_micros bigint not null,
     b0 bigint not null, b1 bigint not null, b2 bigint not null, b3 bigint not null, b4 bigint not null, b5 bigint not null,
     b6 bigint not null, b7 bigint not null, b8 bigint not null, b9 bigint not null, b10 bigint not null, b11 bigint not null,
     b12 bigint not null, b13 bigint not null, b14 bigint not null, b15 bigint not null, b16 bigint not null, b17 bigint not null,
     primary key (minute_ms, namespace, capability, consumer, key_id, member, upstream, code)
   )`,
] as const;
