// Started by sqlite-durability.test.ts and killed at some moment: writes without end and says what was acknowledged.
import { open } from './store-setup.ts';

const [dataDir = '', prefix = ''] = process.argv.slice(2);
const store = await open({ dataDir });
process.stdout.write('ready\n');
for (let n = 0; ; n += 1) {
  const id = `${prefix}-${String(n).padStart(6, '0')}`;
  await store.keys.create({ id, hash: `hash of ${id}`, createdAtMs: n });
  process.stdout.write(`${id}\n`);
  store.sessions.save({ id, isEnded: n % 2 === 0, state: '{}', lastUsedAtMs: n });
  await store.upstreams.save({ id: 'support/crm', fingerprint: id, state: JSON.stringify({ fingerprint: id }), savedAtMs: n });
}
