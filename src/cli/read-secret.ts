import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { readText, type TextRead } from './read-text.ts';

/**
 * A secret from a file, from standard input, or typed by a person who sees nothing of it. The end of its last line is not part of
 * it. Never from a flag: a list of processes shows those to everybody.
 */
export async function readSecret(file: string | undefined, what: string): Promise<TextRead> {
  if (file === undefined && process.stdin.isTTY) return { text: await ask(what) };
  const read = await readText(file ?? '-');
  return 'problem' in read ? read : { text: read.text.replace(/\r?\n$/, '') };
}

function ask(what: string): Promise<string> {
  process.stderr.write(`The ${what} (it is not shown): `);
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  const asking = createInterface({ input: process.stdin, output: silence, terminal: true });
  return new Promise((resolve) => {
    let answer = '';
    asking.once('line', (line) => {
      answer = line;
      asking.close();
    });
    asking.once('SIGINT', () => process.exit(130));
    asking.once('close', () => {
      process.stderr.write('\n');
      resolve(answer);
    });
  });
}
