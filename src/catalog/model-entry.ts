import { z } from 'zod';
import type { Flaw } from '../describe-issue.ts';
import { suggestName } from '../problems.ts';
import { secretNames } from '../secrets.ts';
import { isObject } from '../wire/json.ts';
import { answerBytes, headers, milliseconds, secretOnly, secretText, serverUrl, upstreamBreaker } from './entry-fields.ts';

// What a namespace file says of a model; a part of the format that namespace-file.ts defines.

export const modelProviders = ['openai', 'azure', 'openai-compatible', 'anthropic', 'gemini', 'vertex', 'bedrock'] as const;
const dialects = ['chat', 'responses', 'completions', 'messages', 'gemini', 'converse'] as const;
export const modelAbilities = ['text', 'images', 'documents', 'audio', 'tools', 'structured', 'reasoning', 'embeddings'] as const;

type ProviderName = (typeof modelProviders)[number];

const mostTargets = 32;
const targetName = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,39}$/,
    'A target is named with lower-case letters, digits and -, starts with a letter and has at most 40 characters.',
  );
const word = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'This is one word of letters, digits, ".", "_" and "-".');
const count = (most: number) => z.int().min(1).max(most);
const usd = z.number().min(0).max(100_000);

const limits = z
  .strictObject({
    rpm: count(10_000_000).optional().describe('Most calls in a minute.'),
    tpm: count(10_000_000_000).optional().describe('Most tokens in a minute.'),
    concurrency: count(100_000).optional().describe('Most calls at the same time.'),
  })
  .describe(
    'What the provider lets this target have. Calls beyond it go to the other targets. Counted by each replica for itself.',
  );

const price = z
  .strictObject({
    input: usd.describe('Of what is sent.'),
    output: usd.describe('Of what is answered.'),
    cacheRead: usd.optional().describe('Of what is sent and the provider had kept. Default: as input.'),
    cacheWrite: usd.optional().describe('Of what is sent and the provider keeps. Default: as input.'),
  })
  .describe('US dollars per million tokens. Default: the price list, where the model is in it.');

const target = z
  .strictObject({
    name: targetName
      .optional()
      .describe("What it is called in this model. Default: the provider's name, with -2, -3 where that repeats."),
    provider: z.enum(modelProviders).describe('Who hosts it; openai-compatible for whatever else speaks as OpenAI does.'),
    model: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}$/, 'A model is named in one word of letters, digits and "._:/@+-".')
      .describe("The provider's name for the model; for azure the deployment."),
    key: secretOnly.optional().describe(`The provider's API key, as \${secret:NAME}.`),
    accessKeyId: secretText.max(256).optional().describe('For bedrock: the access key id; may be a secret, too.'),
    secretAccessKey: secretOnly.optional().describe(`For bedrock: the secret access key, as \${secret:NAME}.`),
    sessionToken: secretOnly
      .optional()
      .describe(`For bedrock, with temporary credentials: the session token, as \${secret:NAME}.`),
    serviceAccount: secretOnly.optional().describe(`For vertex: the key file of a service account (JSON), as \${secret:NAME}.`),
    project: word.optional().describe("For vertex: the project. Default: the service account's."),
    url: serverUrl
      .optional()
      .describe(
        'Address of the API up to where its operations begin, e.g. http://localhost:11434/v1. Required for azure and openai-compatible.',
      ),
    headers: headers.optional().describe(`Headers sent with every request. \${secret:NAME} is replaced.`),
    location: word
      .optional()
      .describe('For bedrock and vertex: the place of the API, e.g. us-east-1 or europe-west4. Default for vertex: global.'),
    apiVersion: word.optional().describe('For azure, anthropic, gemini and vertex: the version of the API.'),
    region: word.optional().describe('Where the data goes, in words of your own, e.g. eu: for "regions".'),
    weight: z
      .number()
      .min(0)
      .max(1_000_000)
      .optional()
      .describe('Its share of the calls with mode weighted; with 0 it is a fallback only. Default: 1.'),
    version: word.optional().describe("What its answers are compared under. Default: the target's name."),
    dialects: z
      .array(z.enum(dialects))
      .min(1)
      .max(dialects.length)
      .optional()
      .describe('What it speaks, where that is not what its provider usually does; the first is translated into.'),
    limits: limits.optional(),
    price: price.optional(),
  })
  .describe('One place where the model is.');

const failover = z
  .strictObject({
    errorRate: z.number().gt(0).max(1).optional().describe('Share of failed calls that ejects a target. Default: 0.5.'),
    minimumCalls: count(1_000_000).optional().describe('Fewest calls in the window for errorRate to count. Default: 10.'),
    windowMs: milliseconds.optional().describe('How far back errorRate looks, in milliseconds. Default: 60000.'),
    consecutiveErrors: count(1_000).optional().describe('Failed calls in a row that eject a target. Default: 3.'),
    latencyMs: milliseconds
      .optional()
      .describe('A call whose answer takes longer than this to begin counts as failed for errorRate and consecutiveErrors.'),
    firstByteMs: milliseconds
      .optional()
      .describe(
        'Longest wait of one attempt for the answer to begin; then the next target is tried. Default: 60000 for answers in parts, as long as the call may take for others.',
      ),
    ejectMs: milliseconds
      .optional()
      .describe('How long a target is left out at first; twice as long each time it fails again soon. Default: 5000.'),
    longestEjectMs: milliseconds.optional().describe('Longest time a target is left out. Default: 300000.'),
  })
  .describe(
    'When a target is left out of routing and for how long. A provider that is at capacity (HTTP 429, 503, 529) is left out at once, for as long as it says.',
  );

const rule = z
  .strictObject({
    when: z.string().min(1).max(4096).describe('A CEL expression over caller, capability, network, time and args.'),
    targets: z.array(targetName).min(1).max(mostTargets).describe('The only targets for the calls it fits, by name.'),
  })
  .describe('Which calls go to which targets.');

export const modelRouting = z
  .strictObject({
    mode: z
      .enum(['priority', 'weighted', 'round-robin', 'least-latency'])
      .optional()
      .describe(
        'priority: the first target that can; weighted: by weight; round-robin: one after the other; least-latency: the one that answers fastest. Default: priority.',
      ),
    sticky: z
      .enum(['consumer', 'conversation'])
      .optional()
      .describe('The calls of one consumer, or of one conversation, go to the same target as long as it can.'),
    rules: z.array(rule).max(100).optional().describe('The first that fits says which targets a call may go to.'),
    regions: z
      .array(word)
      .min(1)
      .max(mostTargets)
      .optional()
      .describe('The only regions that a call may go to, whatever fails. A target without a region is in none.'),
    failover: failover.optional(),
    attempts: count(mostTargets).optional().describe('Most targets that are tried for one call. Default: 3.'),
  })
  .describe('Which target a call goes to, and where it goes when that fails.');

const cache = z
  .strictObject({
    ttlMs: milliseconds.describe('How long an answer is kept, in milliseconds.'),
    share: z
      .enum(['consumer', 'all'])
      .optional()
      .describe('Whose answers a call may be given: those of its own consumer, or of all. Default: consumer.'),
    semantic: z
      .strictObject({
        model: z
          .string()
          .regex(/^[a-z][a-z0-9-]{0,23}\/[a-z][a-z0-9-]{0,31}$/, 'This is a model as namespace/name.')
          .describe('The model that makes embeddings, as namespace/name.'),
        threshold: z.number().min(0.5).max(1).optional().describe('How alike two questions have to be. Default: 0.95.'),
      })
      .optional()
      .describe('An answer to a question that means the same counts, too.'),
    tools: z.boolean().optional().describe('Calls that offer tools are cached as well. Default: false.'),
  })
  .describe('Answers are kept and given again.');

export const modelUpstream = z
  .strictObject({
    kind: z.literal('model').describe('A model, behind one provider or several.'),
    title: z.string().min(1).max(200).optional().describe('Name for people.'),
    description: z.string().max(4096).optional().describe('What it is, and who answers for it.'),
    aliases: z
      .array(
        z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/, 'A model is named in one word of letters, digits and "._:/@+-".'),
      )
      .max(32)
      .optional()
      .describe('Other names that clients may call it by, e.g. gpt-5-mini. Its own is namespace/name.'),
    targets: z.array(target).min(1).max(mostTargets).describe('Where it is; with mode priority, the first is tried first.'),
    routing: modelRouting.optional(),
    contextWindow: count(100_000_000).optional().describe('Most tokens that it reads and writes in one call.'),
    maxOutputTokens: count(100_000_000).optional().describe('Most tokens that it writes in one call.'),
    can: z
      .array(z.enum(modelAbilities))
      .max(modelAbilities.length)
      .optional()
      .describe('What it takes and gives, for whoever chooses a model. Default: text.'),
    defaults: z
      .strictObject({ maxTokens: count(100_000_000).optional().describe('Most tokens of an answer.') })
      .optional()
      .describe('What counts where a client says nothing.'),
    hostedTools: z
      .array(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, 'A tool is named as its type, without its date: web_search.'))
      .max(32)
      .optional()
      .describe(
        'Tools that the provider may run itself, under the credential of its target: web_search, file_search, code_interpreter, mcp, ...; "prompt" for prompts that are stored with it, whatever tools those hold. Default: none.',
      ),
    heldIds: z
      .array(
        z
          .string()
          .regex(
            /^(file|container|vector_store|conversation|item|response|audio|skill|cached_content|tunnel)(:[\x21-\x7e]{1,256})?$/,
            'Write a kind (file, container, vector_store, conversation, item, response, audio, skill, cached_content, tunnel), or one of it as kind:id.',
          ),
      )
      .max(200)
      .optional()
      .describe(
        'What lies with the provider, under the account of its target, and may be named in requests by whoever may call the model: "file", "container", "vector_store", "conversation", "item", "response", "audio", "skill", "cached_content" or "tunnel" for any of the kind, "vector_store:vs_123" for this one. Default: none.',
      ),
    cache: cache.optional(),
    timeoutMs: milliseconds.optional().describe('Longest silence of a call in milliseconds. Default: 300000.'),
    maxDurationMs: milliseconds.optional().describe('Longest a call may take in all, in milliseconds. Default: 1800000.'),
    concurrency: count(100_000).optional().describe('Most calls at the same time. Default: 2000.'),
    answerLimitBytes: answerBytes.optional().describe('Largest answer to pass on, in bytes. Default: 16777216.'),
    breaker: upstreamBreaker.optional().describe('When to stop calling the model altogether, and for how long.'),
  })
  .describe('A registered model.');

/** The keys that are known at this place of a model's entry; undefined where another part of the format says. */
export function modelKeys(path: readonly PropertyKey[]): string[] | undefined {
  const inner = path.slice(2).map((key) => (typeof key === 'number' ? '*' : String(key)));
  const schema = places[inner.join('.')];
  return schema === undefined ? undefined : Object.keys(schema.shape);
}

const places: Readonly<Record<string, { readonly shape: object }>> = {
  '': modelUpstream,
  'targets.*': target,
  'targets.*.limits': limits,
  'targets.*.price': price,
  routing: modelRouting,
  'routing.failover': failover,
  'routing.rules.*': rule,
  cache,
  'cache.semantic': cache.shape.semantic.unwrap(),
  defaults: modelUpstream.shape.defaults.unwrap(),
};

type Written = Readonly<Record<string, unknown>>;

/** Rules between the fields of a model, which is looked at as it was written. */
export function checkModel(path: readonly string[], model: Written): Flaw[] {
  const targets = Array.isArray(model.targets) ? model.targets : [];
  const names = nameTargets(targets.map((one: unknown) => (isObject(one) ? one : {})));
  return [
    ...targets.flatMap((one: unknown, at) => (isObject(one) ? checkTarget([...path, 'targets', at], one) : [])),
    ...checkNames([...path, 'targets'], names),
    ...(isObject(model.routing) ? checkRouting([...path, 'routing'], model.routing, targets, names) : []),
    ...checkLengths(path, model),
  ];
}

/** What each target is called: as it says, or after its provider. */
export function nameTargets(targets: readonly { readonly name?: unknown; readonly provider?: unknown }[]): readonly string[] {
  const taken = new Set(targets.map(({ name }) => name));
  return targets.map(({ name, provider }) => {
    if (typeof name === 'string') return name;
    let own = String(provider);
    for (let more = 2; taken.has(own); more++) own = `${String(provider)}-${more}`;
    taken.add(own);
    return own;
  });
}

function checkNames(path: readonly PropertyKey[], names: readonly string[]): Flaw[] {
  return names.flatMap((name, at) =>
    names.indexOf(name) === at
      ? []
      : [{ path: [...path, at, 'name'], message: `Two targets are called "${name}"; give each its own name.` }],
  );
}

interface Needs {
  /** Each a set of keys that belong together; one of them is needed. */
  readonly credentials: readonly (readonly string[])[];
  readonly needed: readonly (readonly [key: string, why: string])[];
  readonly allowed: readonly string[];
}

const awsKeys = ['accessKeyId', 'secretAccessKey'];
const needs: Readonly<Record<ProviderName, Needs>> = {
  openai: { credentials: [['key']], needed: [], allowed: [] },
  azure: { credentials: [['key']], needed: [['url', 'the address of your resource']], allowed: ['apiVersion'] },
  'openai-compatible': { credentials: [[], ['key']], needed: [['url', 'where the API is']], allowed: [] },
  anthropic: { credentials: [['key']], needed: [], allowed: ['apiVersion'] },
  gemini: { credentials: [['key']], needed: [], allowed: ['apiVersion'] },
  vertex: { credentials: [['serviceAccount'], ['key']], needed: [], allowed: ['location', 'project', 'apiVersion'] },
  bedrock: { credentials: [awsKeys, ['key']], needed: [['location', 'e.g. us-east-1']], allowed: ['sessionToken'] },
};
const credentialKeys = ['key', 'accessKeyId', 'secretAccessKey', 'serviceAccount'];
const ownKeys = ['location', 'project', 'apiVersion', 'sessionToken'];

function checkTarget(path: readonly PropertyKey[], target: Written): Flaw[] {
  const { provider } = target;
  const need = typeof provider === 'string' && Object.hasOwn(needs, provider) ? needs[provider as ProviderName] : undefined;
  if (need === undefined) return [];
  const has = (key: string) => target[key] !== undefined;
  const flaws: Flaw[] = [];
  const given = credentialKeys.filter(has);
  const fits = need.credentials.some((keys) => keys.length === given.length && keys.every(has));
  const wanted = need.credentials.filter((keys) => keys.length > 0).map((keys) => keys.map((key) => `"${key}"`).join(' and '));
  if (!fits) flaws.push({ path, message: `A target of ${provider} has ${wanted.join(', or ')} and no other credential.` });
  for (const [key, why] of need.needed)
    if (!has(key)) flaws.push({ path, message: `A target of ${provider} needs "${key}" (${why}); add it.` });
  const known = [...need.allowed, ...need.needed.map(([key]) => key)];
  for (const key of ownKeys)
    if (has(key) && !known.includes(key))
      flaws.push({ path: [...path, key], message: `A target of ${provider} has no "${key}"; remove it.` });
  return [...flaws, ...checkSecretPlace(path, target)];
}

// A key that goes over the wire in the clear is everybody's.
function checkSecretPlace(path: readonly PropertyKey[], { url, ...rest }: Written): Flaw[] {
  if (typeof url !== 'string' || secretNames(JSON.stringify(rest)).length === 0) return [];
  const { protocol, hostname } = URL.parse(url) ?? {};
  if (protocol !== 'http:' || isNear(hostname ?? '')) return [];
  return [{ path: [...path, 'url'], message: 'A credential would go to this address without encryption; write https.' }];
}

/** This machine, or a name or address of a private network: there, many models are served over http. */
function isNear(hostname: string): boolean {
  return (
    !hostname.includes('.') ||
    /^(127|10)\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\./.test(hostname) ||
    /\.(local|internal|localhost|svc|lan|home\.arpa)$/.test(hostname)
  );
}

function checkRouting(
  path: readonly PropertyKey[],
  routing: Written,
  targets: readonly unknown[],
  names: readonly string[],
): Flaw[] {
  const { mode, sticky, rules, regions, failover } = routing;
  const flaws: Flaw[] = [];
  if (sticky !== undefined && (mode === undefined || mode === 'priority'))
    flaws.push({
      path: [...path, 'sticky'],
      message: 'With mode priority every call goes to the first target that can; "sticky" goes with the other modes.',
    });
  const inRegion = (target: unknown) =>
    !Array.isArray(regions) || (isObject(target) && target.region !== undefined && regions.includes(target.region));
  if (targets.length > 0 && !targets.some(inRegion))
    flaws.push({ path: [...path, 'regions'], message: 'No target is in any of these regions; no call could go anywhere.' });
  for (const [at, rule] of (Array.isArray(rules) ? rules : []).entries())
    if (isObject(rule)) flaws.push(...checkRule([...path, 'rules', at], rule, targets.filter(inRegion), targets, names));
  if (isObject(failover)) flaws.push(...checkEjection([...path, 'failover'], failover));
  return flaws;
}

function checkRule(
  path: readonly PropertyKey[],
  rule: Written,
  reachable: readonly unknown[],
  targets: readonly unknown[],
  names: readonly string[],
): Flaw[] {
  const wanted = (Array.isArray(rule.targets) ? rule.targets : []).filter((name: unknown) => typeof name === 'string');
  const flaws: Flaw[] = wanted.flatMap((name, at) =>
    names.includes(name)
      ? []
      : [{ path: [...path, 'targets', at], message: `There is no target "${name}".${suggestName(name, [...names])}` }],
  );
  const isReachable = wanted.some((name) => reachable.includes(targets[names.indexOf(name)]));
  if (flaws.length === 0 && wanted.length > 0 && !isReachable)
    flaws.push({
      path: [...path, 'targets'],
      message: 'None of these targets is in one of the "regions"; the calls could go nowhere.',
    });
  return flaws;
}

function checkEjection(path: readonly PropertyKey[], { ejectMs = 5_000, longestEjectMs = 300_000 }: Written): Flaw[] {
  if (typeof ejectMs !== 'number' || typeof longestEjectMs !== 'number' || ejectMs <= longestEjectMs) return [];
  return [{ path: [...path, 'ejectMs'], message: '"ejectMs" is longer than "longestEjectMs"; raise the latter.' }];
}

function checkLengths(path: readonly PropertyKey[], model: Written): Flaw[] {
  const { contextWindow, maxOutputTokens, defaults } = model;
  const flaws: Flaw[] = [];
  if (typeof contextWindow === 'number' && typeof maxOutputTokens === 'number' && maxOutputTokens > contextWindow)
    flaws.push({ path: [...path, 'maxOutputTokens'], message: '"maxOutputTokens" is more than "contextWindow"; one is wrong.' });
  const usual = isObject(defaults) ? defaults.maxTokens : undefined;
  if (typeof usual === 'number' && typeof maxOutputTokens === 'number' && usual > maxOutputTokens)
    flaws.push({ path: [...path, 'defaults', 'maxTokens'], message: 'This is more than "maxOutputTokens"; lower it.' });
  return flaws;
}
