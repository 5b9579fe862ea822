/** Milliseconds that this thread has computed so far. What bounds work is measured by it: by the clock, a busy machine makes work look longer. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
