/**
 * Names that OpenTelemetry gives to what we tell (semantic conventions 1.45 for MCP, generative AI, errors and processes). Those
 * for MCP and generative AI are still in development there and may be renamed: they stand here and nowhere else.
 */
export const attribute = {
  errorType: 'error.type',
  mcpMethod: 'mcp.method.name',
  toolName: 'gen_ai.tool.name',
  promptName: 'gen_ai.prompt.name',
  operation: 'gen_ai.operation.name',
  tokensIn: 'gen_ai.usage.input_tokens',
  tokensOut: 'gen_ai.usage.output_tokens',
  transport: 'network.transport',
  serviceName: 'service.name',
  serviceVersion: 'service.version',
  serviceInstance: 'service.instance.id',
  namespace: 'gatehouse.namespace',
  capability: 'gatehouse.capability',
  upstream: 'gatehouse.upstream',
  consumer: 'gatehouse.consumer',
  key: 'gatehouse.key',
  door: 'gatehouse.door',
  era: 'gatehouse.era',
  outcome: 'gatehouse.outcome',
  bytesIn: 'gatehouse.bytes_in',
  bytesOut: 'gatehouse.bytes_out',
  retries: 'gatehouse.retries',
  limitRefusals: 'gatehouse.limit_refusals',
  contentHits: 'gatehouse.content_hits',
} as const;

/**
 * Metrics as Prometheus sees them, units included; counters get `_total` from the exporter. The first two are OpenTelemetry's
 * `mcp.server.operation.duration` and `mcp.client.operation.duration`.
 */
export const metric = {
  serverDuration: 'mcp_server_operation_duration_seconds',
  clientDuration: 'mcp_client_operation_duration_seconds',
  calls: 'gatehouse_calls',
  callsByDoor: 'gatehouse_calls_by_door',
  active: 'gatehouse_active_calls',
  bytes: 'gatehouse_bytes',
  tokens: 'gatehouse_tokens',
  cost: 'gatehouse_cost',
  limitRefusals: 'gatehouse_limit_refusals',
  contentHits: 'gatehouse_content_hits',
  upstreamFailures: 'gatehouse_upstream_failures',
  retries: 'gatehouse_retries',
  modelRouting: 'gatehouse_model_routing_events',
  upstreamUp: 'gatehouse_upstream_up',
  storeUp: 'gatehouse_store_up',
  breaker: 'gatehouse_breaker_state',
  capabilityCalls: 'gatehouse_capability_calls',
  capabilityErrors: 'gatehouse_capability_errors',
  capabilityDuration: 'gatehouse_capability_duration_seconds',
  sessions: 'gatehouse_sessions',
  streams: 'gatehouse_streams',
  approvalsPending: 'gatehouse_approvals_pending',
  journalLag: 'gatehouse_journal_lag_seconds',
  traces: 'gatehouse_traces',
  rollUpsDropped: 'gatehouse_roll_ups_dropped',
  cpu: 'process_cpu_seconds',
  memory: 'process_resident_memory_bytes',
  heap: 'nodejs_heap_used_bytes',
  utilization: 'nodejs_eventloop_utilization',
  startTime: 'process_start_time_seconds',
  info: 'gatehouse_info',
} as const;
