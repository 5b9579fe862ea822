// Started by rotation.test.ts. `seal` seals and opens without end and says each failure; `rotate` changes the master key, and is
// killed at some moment.
import { Secret } from '../../src/secret.ts';
import { open } from './store-setup.ts';

const [mode = '', dataDir = ''] = process.argv.slice(2);
const { vault, masterKeys } = await open({ dataDir });

async function sealForever(): Promise<never> {
  const sealed = new Map<string, string>();
  for (let n = 0; ; n += 1) {
    const id = `${process.pid}-${n}`;
    sealed.set(id, await vault.seal({ kind: 'secret', id }, new Secret(id)));
    // A store opened anew knows no data key from before, so that each is read and unwrapped.
    const fresh = await open({ dataDir });
    for (const [each, text] of [...sealed].slice(-10)) {
      const value = await fresh.vault.open({ kind: 'secret', id: each }, text);
      if (value.reveal() !== each) throw new Error(`${each} opened as something else`);
    }
    await fresh.close();
    process.stdout.write(`${JSON.stringify([id, sealed.get(id)])}\n`);
  }
}

if (mode === 'seal') await sealForever();
await masterKeys.rotate(({ done, total }) => process.stdout.write(`${done} of ${total}\n`));
process.stdout.write('rotated\n');
process.exit(0);
