import { expect, test } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { clientDialects } from '../../../src/models/dialects.ts';

const error = new GatewayError('upstream_failed', 'It broke off.');
const numberAfter = (lastPart?: string) =>
  JSON.parse(/^data: (.*)$/m.exec(clientDialects.get('responses')?.writeStreamError(error, lastPart) ?? '')?.[1] ?? '{}')
    .sequence_number;

test('an error that ends a stream is numbered behind the last event that went out, whatever the model said of numbers', () => {
  const said = JSON.stringify({ type: 'response.output_text.delta', sequence_number: 8, delta: '"sequence_number":99' });
  expect(numberAfter(`data: {"sequence_number": 7}\n\nevent: x\ndata: ${said}\n\n`)).toBe(9);
  expect([numberAfter(), numberAfter('data: {}\n\n')]).toEqual([0, 0]);
});
