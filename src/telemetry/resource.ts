import { randomUUID } from 'node:crypto';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { attribute } from './names.ts';

let made: Resource | undefined;

/** What all telemetry of this process says of its origin. */
export function resourceOf(version: string): Resource {
  made ??= resourceFromAttributes({
    [attribute.serviceName]: 'gatehouse',
    [attribute.serviceVersion]: version,
    [attribute.serviceInstance]: randomUUID(),
  });
  return made;
}
