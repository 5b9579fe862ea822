import { z } from 'zod';
import { limitsSchema } from '../policy/limit-rules.ts';
import { type ConsumerDocument, idSchema } from '../registry/documents.ts';
import type { Entry } from '../registry/registry.ts';
import { defineAction, notThere, requireRole } from './action.ts';
import { commitChange, requireNew } from './change.ts';

const fields = {
  title: z.string().min(1).max(200).describe('Name for people.'),
  kind: z.enum(['team', 'application']).describe('What it is.'),
  limits: limitsSchema.optional().describe('Rates and budgets of all its keys together.'),
};

const shown = z
  .object({ id: z.string(), title: z.string(), kind: z.string(), isDisabled: z.boolean(), revision: z.number() })
  .loose();

export const createConsumer = defineAction({
  name: 'create_consumer',
  title: 'Create a consumer',
  description: 'A team or an application that keys, limits and budgets belong to.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /consumers',
  input: z.strictObject({ id: idSchema.describe('Short name; stands in records.'), ...fields }),
  output: shown,
  async run(ports, caller, { id, title, kind, limits }) {
    const { registry } = ports;
    requireRole(caller, ['admin']);
    requireNew(registry, 'consumer', id);
    const body = { title, kind, isDisabled: false, ...withoutUndefined({ limits }) };
    await commitChange(ports, caller, { action: 'create_consumer', edits: [{ kind: 'consumer', id, body }], detail: body });
    return show(registry.require('consumer', id));
  },
});

export const updateConsumer = defineAction({
  name: 'update_consumer',
  title: 'Change a consumer',
  description: 'Changes what is given, leaves the rest. A disabled consumer takes all its keys along.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PATCH /consumers/{id}',
  input: z.strictObject({
    id: idSchema,
    title: fields.title.optional(),
    limits: fields.limits,
    isDisabled: z.boolean().optional().describe('Whether its keys are refused.'),
  }),
  output: shown,
  async run(ports, caller, { id, ...changes }) {
    const { registry } = ports;
    requireRole(caller, ['admin']);
    const known = registry.get('consumer', id);
    if (known === undefined) throw notThere('consumer', id);
    const body = { ...known.body, ...withoutUndefined(changes) };
    await commitChange(ports, caller, { action: 'update_consumer', edits: [{ kind: 'consumer', id, body }], detail: changes });
    return show(registry.require('consumer', id));
  },
});

export const listConsumers = defineAction({
  name: 'list_consumers',
  title: 'List consumers',
  description: 'Every team and application that keys can belong to.',
  roles: ['admin', 'auditor', 'developer'],
  isReadOnly: true,
  route: 'GET /consumers',
  input: z.strictObject({}),
  output: z.object({ consumers: z.array(shown) }),
  async run({ registry }) {
    return { consumers: registry.list('consumer').map(show) };
  },
});

function show({ id, body, revision }: Entry<'consumer'>) {
  const { title, kind, isDisabled, limits }: ConsumerDocument = body;
  return { id, title, kind, isDisabled, revision, ...(limits === undefined ? {} : { limits }) };
}

/** What was left out of a change stays as it is. */
export function withoutUndefined<Changes extends object>(
  changes: Changes,
): { [Key in keyof Changes]: Exclude<Changes[Key], undefined> } {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as never;
}
