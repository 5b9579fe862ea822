// Names of the content rules that matched, each between blanks. Null where none did, and for calls from before this was kept.
export const auditContentRules = [
  'alter table audit_calls add column content_rules text',
  'create index audit_calls_content_rules on audit_calls (at_ms) where content_rules is not null',
] as const;
