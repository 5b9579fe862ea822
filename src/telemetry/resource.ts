import { randomUUID } from 'node:crypto';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { attribute } from './names.ts';

let instance: string | undefined;

/** What all telemetry of this process says of its origin. */
export function resourceOf(version: string): Resource {
  instance ??= randomUUID();
  return resourceFromAttributes({
    [attribute.serviceName]: 'gatehouse',
    [attribute.serviceVersion]: version,
    [attribute.serviceInstance]: instance,
  });
}
