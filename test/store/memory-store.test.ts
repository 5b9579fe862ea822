import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { storeContract } from '../contracts/store.contract.ts';

storeContract('memory', async () => ({ open: async () => memoryStore() }), { isShared: false, prunes: true });
