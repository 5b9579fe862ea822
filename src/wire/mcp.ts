/** The version whose requests say everything about themselves. */
export const modernVersion = '2026-07-28';

/** Versions with `initialize`, newest first: what is offered to a far end that asks for one we do not know. */
export const legacyVersions: readonly [string, ...string[]] = [
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
  '2024-10-07',
];

// RFC 5424 severities, least severe first.
const logLevels: readonly string[] = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

export function isLogLevel(level: string): boolean {
  return logLevels.includes(level);
}

/** Whether a message of this level passes a threshold. One without a known level passes none but an unknown one. */
export function passesLevel(level: unknown, threshold: string): boolean {
  return logLevels.indexOf(String(level)) >= logLevels.indexOf(threshold);
}
