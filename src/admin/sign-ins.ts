import { z } from 'zod';
import type { Caller } from '../call/authenticate.ts';
import { namespaceNameSchema } from '../registry/documents.ts';
import type { Registry } from '../registry/registry.ts';
import type { StoredGrant } from '../store/ports/credentials.ts';
import { defineAction, hasRole, namespacesOf } from './action.ts';
import { upstreamName } from './upstreams.ts';

const everybody = ['admin', 'approver', 'developer', 'auditor'] as const;
/** Of everybody, when somebody who looks after namespaces asks. */
const mostRead = 10_000;

export const listSignIns = defineAction({
  name: 'list_sign_ins',
  title: 'List sign-ins',
  description:
    "Who has signed in to an upstream with an account of their own, newest first, never a token: the own ones, and everybody's at upstreams of namespaces that the caller administers or audits.",
  roles: everybody,
  isReadOnly: true,
  route: 'GET /sign-ins',
  input: z.strictObject({
    limit: z.int().min(1).max(200).optional().describe('Most entries in the answer. Default: 50.'),
    after: z.int().min(0).optional().describe('How many to leave out from the beginning.'),
  }),
  output: z.object({
    signIns: z.array(
      z.object({
        upstream: z.string().describe('namespace/name.'),
        caller: z.string().describe("The key or the token's subject that it is for."),
        issuer: z.string().describe('The authorization server.'),
        renewedAtMs: z.number().describe('Of the sign-in, or of the last renewal of its token; ms since 1970.'),
        isYours: z.boolean(),
      }),
    ),
    total: z.number(),
  }),
  async run({ grants, registry }, caller, { limit = 50, after = 0 }) {
    const own = namesOf(registry, caller);
    const places = namespacesOf(caller, ['auditor']);
    const seesOthers = places === 'all' || places.size > 0;
    const found = await grants.listGrants({ principals: seesOthers ? undefined : [...own], limit: mostRead });
    const shown = found.filter(
      ({ upstream, principal }) => own.has(principal) || places === 'all' || places.has(namespaceOf(upstream)),
    );
    return { signIns: shown.slice(after, after + limit).map((grant) => show(grant, own)), total: shown.length };
  },
});

export const endSignIn = defineAction({
  name: 'end_sign_in',
  title: 'End a sign-in',
  description:
    'Forgets what was granted for an upstream, everywhere within seconds: the next call asks for a sign-in. Take it away at the authorization server as well where its tokens must not be good any more. Admins of the namespace end those of others.',
  roles: everybody,
  isReadOnly: false,
  route: 'DELETE /sign-ins/{namespace}/{name}',
  input: z.strictObject({
    namespace: namespaceNameSchema,
    name: upstreamName.describe('Of the upstream.'),
    caller: z.string().min(1).max(1024).optional().describe('Whose, as list_sign_ins shows it. Default: yours.'),
  }),
  output: z.object({ ended: z.number().describe('How many; 0 where there was none that you may end.') }),
  async run({ grants, registry, journal, door, trace }, caller, { namespace, name, caller: whose }) {
    const upstream = `${namespace}/${name}`;
    const own = namesOf(registry, caller);
    const mayEnd = (principal: string) => own.has(principal) || hasRole(caller, ['admin'], namespace);
    const asked = whose === undefined ? [...own] : [whose].filter(mayEnd);
    if (asked.length === 0) return { ended: 0 };
    const known = await grants.listGrants({ upstream, principals: asked, limit: mostRead });
    let ended = 0;
    for (const principal of new Set(known.map((grant) => grant.principal))) {
      const { id, key, member } = caller;
      const object = `sign-in/${upstream} ${principal}`.slice(0, 512);
      await journal.change({ principal: id, key, member, door, action: 'end_sign_in', object, trace });
      ended += await grants.removeGrants(upstream, principal);
    }
    return { ended };
  },
});

/** By what somebody may have signed in: what they are here by, and by what else the same member comes. */
function namesOf(registry: Registry, { id, member, identities }: Caller): ReadonlySet<string> {
  if (member === undefined) return new Set([id]);
  const keys = registry.list('key').flatMap((key) => (key.body.member === member ? `key:${key.id}` : []));
  return new Set([id, ...identities, ...keys]);
}

function namespaceOf(upstream: string): string {
  return upstream.slice(0, upstream.indexOf('/'));
}

function show({ upstream, principal, issuer, updatedAtMs }: StoredGrant, own: ReadonlySet<string>) {
  return { upstream, caller: principal, issuer, renewedAtMs: updatedAtMs, isYours: own.has(principal) };
}
