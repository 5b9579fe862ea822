import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What a process has cost so far, read from outside so that measuring changes nothing in it. Linux only; undefined elsewhere. */
export function cpuMicros(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it, over all threads.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / ticksPerSecond();
}

/**
 * What these CPUs have done so far for whomever, all of them without a list. Interrupts are left out: the kernel's share of
 * our own traffic is among them.
 */
export function machineMicros(cpus: readonly string[] = ['']): number | undefined {
  const stat = read('/proc/stat');
  if (stat === undefined) return undefined;
  const of = (cpu: string) => {
    const [, user, nice, system, , , , , steal] = stat.match(new RegExp(`^cpu${cpu} .*$`, 'm'))?.[0].split(/ +/u) ?? [];
    return Number(user) + Number(nice) + Number(system) + Number(steal);
  };
  return (cpus.reduce((sum, cpu) => sum + of(cpu), 0) * 1e6) / ticksPerSecond();
}

/** Proportional memory in bytes (shared pages counted in part), resident memory where the kernel does not say. */
export function memoryBytes(pid: number): number | undefined {
  const kilobytes =
    read(`/proc/${pid}/smaps_rollup`)?.match(/^Pss:\s+(\d+) kB/m)?.[1] ??
    read(`/proc/${pid}/status`)?.match(/^VmRSS:\s+(\d+) kB/m)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

let ticks: number | undefined;

function ticksPerSecond(): number {
  ticks ??= Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100;
  return ticks;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
