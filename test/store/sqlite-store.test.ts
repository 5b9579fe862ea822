import { storeContract } from '../contracts/store.contract.ts';
import { open, temporaryDataDir } from './store-setup.ts';

async function makePlace() {
  const { dataDir, remove } = temporaryDataDir();
  return { open: () => open({ dataDir }), remove: async () => remove() };
}

storeContract('SQLite', makePlace, { isShared: true, prunes: true });
