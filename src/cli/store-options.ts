import { systemClock } from '../clock.ts';
import type { Settings } from '../settings.ts';
import type { StoreOptions } from '../store/store-options.ts';

/** For commands that work on the store itself; what it has to say goes to the person who runs the command. */
export function storeOptions(settings: Settings, write: (text: string) => void): StoreOptions {
  return {
    dataDir: settings.data,
    databaseUrl: settings.databaseUrl,
    masterKey: settings.masterKey,
    previousMasterKeys: settings.previousMasterKeys,
    mustExist: true,
    clock: systemClock,
    log: { info() {}, warn: (_, message) => write(`warning: ${message}\n`) },
  };
}
