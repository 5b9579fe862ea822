import { describeMisfits, type Misfits } from '../arguments/find-misfits.ts';
import { GatewayError } from '../errors.ts';
import type { JsonObject } from '../wire/json.ts';

/** A refusal that says everything there is to change: as text, and in `data.errors` one by one. */
export class BadArguments extends GatewayError {
  readonly misfits: JsonObject[];

  constructor(misfits: Misfits) {
    const found = misfits.found.map((misfit) => ({ ...misfit }));
    super('bad_arguments', describeMisfits(misfits), { data: { errors: found } });
    this.misfits = found;
  }
}
