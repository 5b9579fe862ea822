import { readdirSync, readFileSync } from 'node:fs';
import { processPurpose } from '../../src/upstreams/openapi/import-process.ts';

/** Processes that convert a description now, by id; only those that this process started, unless told otherwise. */
export function importProcesses(of: 'ours' | 'all' = 'ours'): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((id) => {
      const [command, status] = [read(`/proc/${id}/cmdline`), read(`/proc/${id}/status`)];
      const isOurs = of === 'all' || new RegExp(`^PPid:\\s+${process.pid}$`, 'm').test(status);
      return isOurs && command.includes(`\0${processPurpose}\0`) && !/^State:\s+Z/m.test(status);
    })
    .map(Number);
}

/** Empty where the process is gone. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
