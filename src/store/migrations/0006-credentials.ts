export const credentials = [
  `create table grants (
     upstream text not null, principal text not null, issuer text not null, version text not null, sealed text not null,
     updated_at_ms bigint not null, leased_until_ms bigint not null, primary key (upstream, principal, issuer)
   )`,
  `create table oauth_clients (
     issuer text not null, redirect_uri text not null, sealed text not null, created_at_ms bigint not null,
     primary key (issuer, redirect_uri)
   )`,
  'create table sign_ins (id text not null primary key, sealed text not null, expires_at_ms bigint not null)',
  'create index sign_ins_expires on sign_ins (expires_at_ms)',
] as const;
