import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { modelRouting, nameTargets } from '../catalog/model-entry.ts';
import { GatewayError } from '../errors.ts';
import { checkEntry, namespaceNameSchema } from '../registry/documents.ts';
import { isObject } from '../wire/json.ts';
import { type AdminPorts, defineAction } from './action.ts';
import { commitChange, registrationOf, requireRevision, revisionField } from './change.ts';
import { configOf, type Entry, tryOut } from './examine-upstream.ts';
import { errorAt, type Finding, findingSchema, refuseErrors } from './findings.ts';
import { findModelFlaws } from './model-findings.ts';
import { modelInFull, shownModelInFull } from './models.ts';
import { requireModel } from './register-model.ts';
import { refuseUnreviewed, upstreamName } from './upstreams.ts';

const { mode, sticky, rules, regions, failover, attempts } = modelRouting.shape;
const orNone = <Schema extends z.ZodType>(schema: z.ZodOptional<Schema>) => z.nullable(schema.unwrap()).optional();

/** How long an answer waits for the new routing to be in use. */
const settledWithinMs = 20_000;

export const setModelRouting = defineAction({
  name: 'set_model_routing',
  title: 'Set how a model finds its targets',
  description:
    'Mode, weights, stickiness, rules, regions, when a target is left out, and how many are tried for one call. What is left out stays as it is; null is as if it had never been said. What a file declares changes only there.',
  roles: ['admin'],
  isReadOnly: false,
  route: 'PATCH /models/{namespace}/{name}/routing',
  input: z.strictObject({
    namespace: namespaceNameSchema,
    name: upstreamName,
    mode,
    weights: z
      .record(z.string().max(64), z.number().min(0).max(1_000_000))
      .optional()
      .describe('Shares of the calls by the name of the target, for mode weighted; with 0 it is a fallback only.'),
    sticky: orNone(sticky),
    rules: orNone(rules),
    regions: orNone(regions).describe('The only regions that a call may go to; null: any.'),
    failover: orNone(failover).describe('When a target is left out and for how long; numbers that are not named stay.'),
    attempts,
    revision: revisionField,
  }),
  output: shownModelInFull.extend({ findings: z.array(findingSchema).describe('What is allowed, and worth a second look.') }),
  async run(ports, caller, { namespace, name, weights = {}, revision, ...routing }, ip) {
    const id = `${namespace}/${name}`;
    const known = requireModel(ports, caller, { namespace, name });
    requireRevision('upstream', id, known, revision);
    const entry = withWeights(withRouting(known.body.entry, routing), weights, id);
    if (!isDeepStrictEqual(boundsOf(entry), boundsOf(known.body.entry))) refuseUnreviewed(ports);
    const findings = await refuseFlaws(ports, namespace, name, entry);
    requireRevision('upstream', id, ports.registry.get('upstream', id), known.revision);
    // The targets stay what they were when they were registered, and so do the secrets that they are reached with.
    const body = { namespace, entry, ...registrationOf(ports, id) };
    const detail = { ...routing, weights };
    await commitChange(ports, caller, { action: 'set_model_routing', edits: [{ kind: 'upstream', id, body }], detail });
    await ports.settled([id], settledWithinMs);
    return { ...(await modelInFull(ports, caller, id, ip)), findings };
  },
});

function withRouting(entry: Entry, changes: Readonly<Record<string, unknown>>): Entry {
  const before = isObject(entry.routing) ? entry.routing : {};
  const routing: Record<string, unknown> = { ...before };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    if (value === null) delete routing[key];
    else routing[key] = key === 'failover' && isObject(value) ? { ...objectOf(before.failover), ...value } : value;
  }
  return { ...entry, routing };
}

function withWeights(entry: Entry, weights: Readonly<Record<string, number>>, id: string): Entry {
  const targets = Array.isArray(entry.targets) ? entry.targets : [];
  const names = nameTargets(targets);
  const unknown = Object.keys(weights).filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new GatewayError(
      'bad_arguments',
      `${id} has no target ${unknown.map((name) => `"${name}"`).join(', ')}; its targets are ${names.join(', ')}.`,
    );
  return {
    ...entry,
    targets: targets.map((target: unknown, at) => {
      const weight = weights[names[at] ?? ''];
      return weight === undefined ? target : { ...objectOf(target), weight };
    }),
  };
}

/** What decides where data may go: with review rules, one person alone changes nothing of it. */
function boundsOf({ routing }: Entry): unknown {
  const { regions, rules } = objectOf(routing);
  return { regions, rules };
}

/** Returns what is no error. */
async function refuseFlaws(ports: AdminPorts, namespace: string, name: string, entry: Entry): Promise<Finding[]> {
  const what = `The routing of ${namespace}/${name} was not changed.`;
  const flaws = checkEntry('upstreams', namespace, name, entry).map(({ path, message }) => errorAt(path, message));
  refuseErrors(what, flaws);
  const ofRules = await findModelFlaws(ports.catalog(), { namespace, name, entry });
  refuseErrors(what, ofRules);
  const { findings } = await tryOut(ports, configOf(ports, { namespace, name, entry }), false);
  refuseErrors(what, findings);
  return [...ofRules, ...findings];
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}
