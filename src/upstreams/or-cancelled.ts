import { GatewayError } from '../errors.ts';
import type { UpstreamCall } from './upstream.ts';

/** Waits until work has ended, well or not. Throws GatewayError `cancelled` once its call is. */
export function orCancelled(work: Promise<unknown>, { cancel }: UpstreamCall): Promise<void> {
  return new Promise((resolve, reject) => {
    const takeBack = cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason)));
    const done = () => {
      takeBack();
      resolve();
    };
    work.then(done, done);
  });
}
