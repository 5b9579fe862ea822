/** Whether a number of this name is a time, in milliseconds since 1970. */
export function isTime(key: string): boolean {
  return /(^a|A)tMs$|^(since|until|from|to)Ms$/.test(key);
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of one unit of a number of this name, where it is a duration; undefined where it is none. */
export function durationUnitMs(key: string): number | undefined {
  if (isTime(key)) return undefined;
  if (key.endsWith('Ms')) return 1;
  return /[a-z]S$/.test(key) ? 1000 : undefined;
}

/** `90d`, `12h`, `30m`, `10s`, `250ms` in milliseconds; undefined for anything else. */
export function readDurationMs(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits) * (unitsMs[unit] ?? 1);
}
