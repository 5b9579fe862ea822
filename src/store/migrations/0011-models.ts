// What models did, per minute; what people thought of it; who was told that something runs out; who stepped in for whom.
export const models = [
  `create table model_calls (
     minute_ms bigint not null, model text not null, version text not null, target text not null, consumer text not null,
     key_id text not null, ending text not null,
     calls bigint not null, failed bigint not null, cached bigint not null, failovers bigint not null,
     total_ms double precision not null, total_square double precision not null,
     first_calls bigint not null, first_ms double precision not null,
     tokens_in bigint not null, tokens_out bigint not null, nano_usd bigint not null, unpriced bigint not null,
     primary key (minute_ms, model, version, target, consumer, key_id, ending)
   )`,
  'create index model_calls_model on model_calls (model, minute_ms)',
  `create table model_answers (
     id text not null primary key, at_ms bigint not null, model text not null, version text not null, consumer text not null
   )`,
  'create index model_answers_at on model_answers (at_ms)',
  `create table model_ratings (
     id text not null primary key, at_ms bigint not null, model text not null, version text not null, consumer text not null,
     score double precision not null, note text
   )`,
  'create index model_ratings_model on model_ratings (model, at_ms)',
  `create table alert_events (
     id text not null primary key, at_ms bigint not null, alert text not null, subject text not null, message text not null,
     used double precision not null, amount double precision not null
   )`,
  'create index alert_events_at on alert_events (at_ms)',
  `create table failovers (
     id text not null primary key, at_ms bigint not null, model text not null, from_target text not null, to_target text,
     reason text not null, kind text not null
   )`,
  'create index failovers_at on failovers (at_ms)',
] as const;
