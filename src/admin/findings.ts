import { z } from 'zod';
import { GatewayError } from '../errors.ts';

/** What somebody ought to know of what they gave. Nothing is done while there is an error among them. */
export const findingSchema = z.object({
  severity: z.enum(['error', 'warning']),
  path: z.string().describe('Where, as a JSON pointer into the entry.'),
  message: z.string(),
});

export type Finding = z.output<typeof findingSchema>;

export function errorAt(path: readonly PropertyKey[], message: string): Finding {
  return { severity: 'error', path: pointer(path), message };
}

export function warningAt(path: readonly PropertyKey[], message: string): Finding {
  return { severity: 'warning', path: pointer(path), message };
}

export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** Throws GatewayError `bad_arguments` with every finding, where one of them is an error. */
export function refuseErrors(what: string, findings: readonly Finding[]): void {
  if (!hasErrors(findings)) return;
  const lines = findings.map(({ severity, path, message }) => `- ${severity}${path === '' ? '' : ` at ${path}`}: ${message}`);
  throw new GatewayError('bad_arguments', `${what}\n${lines.join('\n')}`, { data: { findings } });
}

/** RFC 6901. */
function pointer(path: readonly PropertyKey[]): string {
  return path.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
