// When somebody was last handed something that a gate asks after.
export const sightings = [
  'create table sightings (key text not null primary key, seen_ms bigint not null)',
  'create index sightings_seen on sightings (seen_ms)',
] as const;
