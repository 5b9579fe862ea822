// Started by registry-durability.test.ts and killed at some moment: commits without end and says what was acknowledged. Each commit
// changes one document of its own and two that must always be alike.
import { open } from './store-setup.ts';

const [dataDir = '', prefix = '', databaseUrl] = process.argv.slice(2);
const place = databaseUrl === undefined ? { dataDir } : { dataDir, databaseUrl, masterKey: Buffer.alloc(32, 1) };
const { registry } = await open(place);
process.stdout.write('ready\n');
for (let n = 0; ; n += 1) {
  const id = `${prefix}-${n}`;
  const { documents } = await registry.load();
  const expected = (twin: string) => documents.find(({ kind, id }) => kind === 'twin' && id === twin)?.revision;
  const twins = ['left', 'right'].map((twin) => ({ kind: 'twin', id: twin, body: JSON.stringify(id), expects: expected(twin) }));
  const changes = [{ kind: 'key', id, body: JSON.stringify({ id }), expects: undefined }, ...twins];
  const result = await registry.commit(changes, [{ actor: prefix, action: 'put', kind: 'key', id, detail: '{}' }]);
  if (result.kind === 'committed') process.stdout.write(`${id} ${result.position.revision}\n`);
}
