import { readFileSync, writeFileSync } from 'node:fs';

// Loaded before a program: its clock on the wall is off by what a file says, from the next SIGUSR2 on, and another file says that it
// is. Timers are not off, as in life.

const RealDate = Date;
let offsetMs = 0;

process.on('SIGUSR2', () => {
  const file = process.env.TEST_CLOCK_FILE ?? '';
  offsetMs = Number(readFileSync(file, 'utf8'));
  writeFileSync(`${file}.set`, String(offsetMs));
});

const nowMs = (): number => RealDate.now() + offsetMs;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) => Reflect.construct(target, args.length === 0 ? [nowMs()] : args, newTarget),
  apply: () => new RealDate(nowMs()).toString(),
  get: (target, name, receiver) => (name === 'now' ? nowMs : Reflect.get(target, name, receiver)),
});
