import { GatewayError } from '../errors.ts';
import type { RollUpQuery } from './ports/roll-ups.ts';

const defaultLimit = 1000;
const stepLimit = 2000;
/** Groups times steps: what one answer can hold without holding up everybody else. */
const rowLimit = 3_000;

/** Checked so that no query can ask for more rows than a page can show. Throws GatewayError `invalid_params`. */
export function stepsOf({ fromMs, toMs, stepMs, limit = defaultLimit }: RollUpQuery): {
  readonly stepMs: number | undefined;
  readonly limit: number;
} {
  if (!Number.isFinite(fromMs) || !Number.isFinite(toMs)) {
    throw new GatewayError('invalid_params', 'A range of time begins and ends with a number of milliseconds since 1970.');
  }
  if (!Number.isInteger(limit) || limit < 1 || limit > defaultLimit) {
    throw new GatewayError('invalid_params', `A limit is a whole number from 1 to ${defaultLimit}.`);
  }
  if (stepMs === undefined) return { stepMs, limit };
  if (!Number.isInteger(stepMs) || stepMs < 60_000 || stepMs % 60_000 !== 0) {
    throw new GatewayError('invalid_params', 'A step is one or more whole minutes, in milliseconds.');
  }
  if ((toMs - fromMs) / stepMs > stepLimit) {
    throw new GatewayError(
      'invalid_params',
      `This range has more than ${stepLimit} steps; ask for longer steps or a shorter range.`,
    );
  }
  const steps = Math.max(1, Math.ceil((toMs - fromMs) / stepMs));
  return { stepMs, limit: Math.min(limit, Math.max(1, Math.floor(rowLimit / steps))) };
}
