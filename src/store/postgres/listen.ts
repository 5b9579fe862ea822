import { Client, type CustomTypesConfig } from 'pg';
import type { HeadSource } from '../open-registry.ts';
import type { RegistryPosition } from '../ports/registry.ts';
import { schemaName } from './migrate.ts';
import { commitChannel, refuseStandby } from './registry.ts';

/** A NOTIFY is lost while the connection is, and poolers swallow it: the head is read at this pace all the same. */
const pollEveryMs = 1_000;
/** With the pace above: a connection that hangs is noticed and replaced well within 5 s. */
const queryLimitMs = 2_000;
const firstRetryMs = 100;
const lastRetryMs = 1_000;

interface Listening {
  readonly url: string;
  readonly name: string;
  readonly types: CustomTypesConfig;
  readonly warn: (error: unknown) => void;
  /** Hears whenever the server answered, about once a second. */
  readonly found: () => void;
}

/** On a connection of its own, so that a pool without a free connection delays no revocation. */
export function listenForCommits(listening: Listening): HeadSource {
  return (tell) => {
    let isStopped = false;
    let line: { close(): void } | undefined;
    let timer: NodeJS.Timeout | undefined;
    let retryMs = firstRetryMs;

    function start(): void {
      line = openLine(listening, {
        onHead(head) {
          retryMs = firstRetryMs;
          listening.found();
          if (!isStopped) tell(head);
        },
        onLost(error) {
          if (isStopped) return;
          listening.warn(error);
          timer = setTimeout(start, retryMs).unref();
          retryMs = Math.min(retryMs * 2, lastRetryMs);
        },
      });
    }

    start();
    return () => {
      isStopped = true;
      clearTimeout(timer);
      line?.close();
    };
  };
}

interface LineEvents {
  readonly onHead: (head: RegistryPosition) => void;
  /** Once; nothing comes after it. */
  readonly onLost: (error: unknown) => void;
}

function openLine({ url, name, types }: Listening, { onHead, onLost }: LineEvents): { close(): void } {
  const client = new Client({
    connectionString: url,
    application_name: 'gatehouse',
    connectionTimeoutMillis: 5_000,
    query_timeout: queryLimitMs,
    keepAlive: true,
    types,
  });
  let isLost = false;
  let isReading = false;
  let isStale = false;
  let timer: NodeJS.Timeout | undefined;

  function lose(error: unknown): void {
    if (isLost) return;
    isLost = true;
    clearInterval(timer);
    client.end().catch(() => {});
    onLost(error);
  }

  async function read(): Promise<void> {
    isStale = true;
    if (isReading || isLost) return;
    isReading = true;
    while (isStale && !isLost) {
      isStale = false;
      const { rows } = await client.query<RegistryPosition & { standby: boolean }>(
        `select revision, mark, pg_is_in_recovery() as standby from ${schemaName}.registry_state`,
      );
      const [head] = rows;
      refuseStandby(head?.standby === true, name);
      if (head !== undefined && !isLost) onHead({ revision: head.revision, mark: head.mark });
    }
    isReading = false;
  }

  const look = () => void read().catch(lose);
  client.on('error', lose);
  client.on('end', () => lose(new Error('The connection ended.')));
  client.on('notification', look);

  async function open(): Promise<void> {
    await client.connect();
    await client.query(`listen ${commitChannel}`);
    if (isLost) return;
    timer = setInterval(look, pollEveryMs).unref();
    look();
  }
  open().catch(lose);
  return { close: () => lose(undefined) };
}
