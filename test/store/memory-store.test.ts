import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { approvalContract } from '../contracts/approvals.contract.ts';
import { auditIndexContract } from '../contracts/audit-index.contract.ts';
import { credentialContract } from '../contracts/credentials.contract.ts';
import { modelRecordsContract } from '../contracts/model-records.contract.ts';
import { rollUpsContract } from '../contracts/roll-ups.contract.ts';
import { storeContract } from '../contracts/store.contract.ts';

const makePlace = async () => ({ open: async () => memoryStore() });

storeContract('memory', makePlace, { isShared: false, prunes: true });
rollUpsContract('memory', makePlace, { isShared: false });
modelRecordsContract('memory', makePlace);
auditIndexContract('memory', makePlace);
credentialContract('memory', makePlace, { isShared: false });
approvalContract('memory', makePlace, { isShared: false, racesInProcess: false });
