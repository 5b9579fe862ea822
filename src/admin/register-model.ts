import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { modelUpstream } from '../catalog/model-entry.ts';
import type { GatewayError } from '../errors.ts';
import { suggestName } from '../problems.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import { type AdminPorts, defineAction, notThere, requireRole } from './action.ts';
import { revisionField } from './change.ts';
import type { Draft } from './examine-upstream.ts';
import { findingSchema, refuseErrors } from './findings.ts';
import { modelInFull, shownModelInFull } from './models.ts';
import { findingsOf, shownTrial, tryTargets } from './try-targets.ts';
import { registerEntry, removeEntry, replaceEntry, requireRegistered, upstreamName } from './upstreams.ts';

const place = {
  namespace: namespaceNameSchema.describe('The namespace it is in.'),
  name: upstreamName.describe('Its name there; clients call it namespace/name.'),
};
const fields = {
  entry: modelUpstream
    .extend({ kind: z.literal('model').optional().describe('May be left out.') })
    .describe('What a namespace file says of a model. Secrets are references: set_secret keeps them.'),
  test: z
    .boolean()
    .optional()
    .describe('Makes one tiny call of each target first, and changes nothing where one does not answer. Default: false.'),
};

const answered = z.object({
  model: shownModelInFull,
  findings: z.array(findingSchema),
  trials: z.array(shownTrial).optional().describe('What came of the tiny calls.'),
});

export const registerModel = defineAction({
  name: 'register_model',
  title: 'Register a model',
  description:
    'Registers a model behind one provider or several, wherever it is hosted. Its entry, names and rules are checked, with "test" its targets too; it can be called when this answers.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'POST /models',
  input: z.strictObject({ ...place, ...fields }),
  output: answered,
  async run(ports, caller, { entry, test = false, ...at }, ip) {
    const trying = tried(ports, caller, 'registered', test);
    const given = { ...at, entry: { ...entry, kind: 'model' } };
    const { findings } = await registerEntry(ports, caller, 'register_model', given, trying.run);
    return { model: await modelInFull(ports, caller, idOf(at), ip), findings, ...trying.result() };
  },
});

export const updateModel = defineAction({
  name: 'update_model',
  title: 'Change a model',
  description:
    'Replaces what was registered of a model: all of its entry. It is checked as at its registration, and calls that run end as they will. For routing alone there is set_model_routing.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PUT /models/{namespace}/{name}',
  input: z.strictObject({ ...place, ...fields, revision: revisionField }),
  output: answered,
  async run(ports, caller, { entry, test = false, revision, ...at }, ip) {
    requireModel(ports, caller, at);
    const trying = tried(ports, caller, 'changed', test);
    const given = { ...at, revision, entry: { ...entry, kind: 'model' } };
    const { findings } = await replaceEntry(ports, caller, 'update_model', given, trying.run);
    return { model: await modelInFull(ports, caller, idOf(at), ip), findings, ...trying.result() };
  },
});

export const retireModel = defineAction({
  name: 'retire_model',
  title: 'Take a model out',
  description: 'Removes a registered model: it is no longer listed and cannot be called. Calls that run end as they will.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'DELETE /models/{namespace}/{name}',
  input: z.strictObject(place),
  output: z.object({ id: z.string() }),
  async run(ports, caller, at) {
    requireModel(ports, caller, at);
    const { id } = await removeEntry(ports, caller, 'retire_model', at);
    return { id };
  },
});

function idOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** What was registered as a model. Throws GatewayError `forbidden`, `conflict` where a file declares it, and `no_such_object`. */
export function requireModel(
  ports: Pick<AdminPorts, 'catalog' | 'files' | 'registry'>,
  caller: Caller,
  at: { readonly namespace: string; readonly name: string },
) {
  requireRole(caller, ['admin'], at.namespace);
  const id = idOf(at);
  if (ports.catalog().upstreams.get(id) === undefined && ports.registry.get('upstream', id) === undefined)
    throw noSuchModel(ports.catalog(), at);
  const known = requireRegistered(ports, id);
  if (known.body.entry.kind !== 'model') throw notThere('model', id, 'Search them with list_models.');
  return known;
}

// Whoever asks administers the namespace: what is in it is no secret.
function noSuchModel({ models }: Catalog, at: { readonly namespace: string; readonly name: string }): GatewayError {
  const own = Array.from(models.tools.values(), ({ member }) => member).filter(({ config }) => config.namespace === at.namespace);
  const hint = suggestName(
    idOf(at),
    own.map(({ id }) => id),
  );
  return notThere('model', idOf(at), `List them with list_models.${hint}`);
}

function tried(ports: AdminPorts, caller: Caller, did: string, isWanted: boolean) {
  let trials: Awaited<ReturnType<typeof tryTargets>> | undefined;
  return {
    run: async (draft: Draft): Promise<void> => {
      if (!isWanted) return;
      trials = await tryTargets(ports, caller, draft);
      refuseErrors(`${idOf(draft)} was not ${did}.`, findingsOf(trials));
    },
    result: () => (trials === undefined ? {} : { trials }),
  };
}
