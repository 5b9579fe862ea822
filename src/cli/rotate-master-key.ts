import type { Settings } from '../settings.ts';
import { openStore } from '../store/open-store.ts';
import type { RotationProgress } from '../store/ports/master-keys.ts';
import { storeOptions } from './store-options.ts';

interface RotateOptions {
  readonly settings: Settings;
  readonly json: boolean;
  readonly write: (text: string) => void;
  /** For warnings and progress: what a program that reads the answer should not find in it. */
  readonly complain: (text: string) => void;
}

const sayEveryMs = 1_000;

/**
 * `gatehouse rotate-master-key`: from the older master keys to GATEHOUSE_MASTER_KEY, or to a new key file where none is given, while
 * gateways run. Cut off, the same command goes on.
 */
export async function rotateMasterKey({ settings, json, write, complain }: RotateOptions): Promise<number> {
  const store = await openStore(storeOptions(settings, complain));
  try {
    let last: RotationProgress = { done: 0, total: 0 };
    let saidAtMs = Number.NEGATIVE_INFINITY;
    const version = await store.masterKeys.rotate((progress) => {
      last = progress;
      if (performance.now() - saidAtMs < sayEveryMs) return;
      saidAtMs = performance.now();
      complain(`${progress.done} of ${progress.total} keys\n`);
    });
    if (json) write(`${JSON.stringify({ version, ...last }, null, 2)}\n`);
    else write(`All ${last.total} keys are sealed under the master key of version ${version}. ${whatNext(settings)}\n`);
    return 0;
  } finally {
    await store.close();
  }
}

function whatNext({ masterKey, data }: Settings): string {
  if (masterKey === undefined) {
    return `It is ${data}/master.key; the one before is beside it as master.key.<number>, for backups made until now. Delete that one with the last of them.`;
  }
  return 'Take GATEHOUSE_PREVIOUS_MASTER_KEYS away at the next restart. Backups made until now need the key before: keep it as long as you keep them.';
}
