import { approvalContract } from '../contracts/approvals.contract.ts';
import { auditIndexContract } from '../contracts/audit-index.contract.ts';
import { credentialContract } from '../contracts/credentials.contract.ts';
import { modelRecordsContract } from '../contracts/model-records.contract.ts';
import { rollUpsContract } from '../contracts/roll-ups.contract.ts';
import { storeContract } from '../contracts/store.contract.ts';
import { open, temporaryDataDir } from './store-setup.ts';

async function makePlace() {
  const { dataDir, remove } = temporaryDataDir();
  return { open: () => open({ dataDir }), remove: async () => remove() };
}

storeContract('SQLite', makePlace, { isShared: true, prunes: true });
rollUpsContract('SQLite', makePlace, { isShared: true });
modelRecordsContract('SQLite', makePlace);
auditIndexContract('SQLite', makePlace);
credentialContract('SQLite', makePlace, { isShared: true });
approvalContract('SQLite', makePlace, { isShared: true, racesInProcess: false });
