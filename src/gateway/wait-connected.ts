import type { LiveCatalog } from '../catalog/live-catalog.ts';
import type { Upstream } from '../upstreams/upstream.ts';

/** Waits for every upstream, or for these: one that is remembered offers something before it has connected. */
export async function waitConnected(live: LiveCatalog, withinMs: number, only?: ReadonlySet<string>): Promise<void> {
  const stops: (() => void)[] = [];
  const awaited = [...live.current.upstreams.values()].filter(({ id }) => only?.has(id) ?? true);
  const all = Promise.all(awaited.map(({ upstream }) => heardOf(upstream, stops)));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([all, late]);
  clearTimeout(timer);
  for (const stop of stops) stop();
  // What they offered is in the snapshot by then.
  await live.settled(0);
}

function heardOf(upstream: Upstream, stops: (() => void)[]): Promise<void> {
  return new Promise<void>((resolve) => {
    const look = () => {
      if (upstream.health().state !== 'connecting') resolve();
    };
    stops.push(upstream.onChange(look));
    look();
  });
}
