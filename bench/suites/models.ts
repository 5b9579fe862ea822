import { newMasterKey, openRegistrar, placeSettings } from '../../test/support/registrar.ts';
import type { Values } from '../bars.ts';
import { chunks } from '../completion.ts';
import type { ModelGateway } from '../gateway.ts';
import type { Lab, PassThrough, ProviderProcess, Rival } from '../lab.ts';
import type { Prompt } from '../prompt.ts';
import { callsPerSecond, type Load, type Measurements, measureRounds, type Scenario } from '../rounds.ts';
import type { HeldResult, StepJob } from '../streams.ts';
import { megabyte, type SuiteResult } from './suite.ts';

/**
 * Chat completions with everything on that holds a call of a model: a key with a consumer, limits of calls, tokens, money and of calls at
 * the same time, content rules in both directions, the journal. Beside it Portkey, which does none of it.
 */
export async function models(lab: Lab): Promise<SuiteResult> {
  const stand = await openStand(lab);
  const measured = await measureRounds(lab, 'models', scenarios(stand), lab.settings.isQuick ? 2 : undefined);
  await behave(stand, { streams: 'stepped' });
  const free = await measureSteps(lab, stand, plainModel, { count: 20, lateAfterMs: 1000 });
  const ruled = await measureSteps(lab, stand, model, { count: lab.settings.isQuick ? 1 : 5, lateAfterMs: 100 });
  const [floorHeld, held] = await holdBoth(lab, stand);
  const { rivalFailure } = stand;
  return {
    rows: measured.rows(),
    figures: [
      {
        text: `chunks of ${free.chunks} that came only when the next was sent, without content rules`,
        value: free.late,
        unit: 'chunks',
      },
      { text: `the same of ${ruled.chunks} with them: a match may begin at their end`, value: ruled.late, unit: 'chunks' },
      { text: `memory while it holds ${held.held} streams`, value: inMegabytes(held.memoryBytes), unit: 'MB' },
      { text: `longest way of one of ${held.chunks} chunks meanwhile`, value: held.longestUs / 1000, unit: 'ms' },
      { text: 'the same, pass-through', value: floorHeld.longestUs / 1000, unit: 'ms' },
      ...(rivalFailure === undefined ? [] : [{ text: rivalFailure, value: undefined, unit: '' }]),
    ],
    values: { ...ratios(measured, stand), 'models held back': free.late, ...heldValues(floorHeld, held) },
  };
}

const whole = '64 callers, whole answers';
const paced = `64 callers, streams of ${chunks} chunks, 5 ms apart`;
const flatOut = `64 callers, streams of ${chunks} chunks, as fast as they come`;
const lone = `1 caller, streams of ${chunks} chunks, as fast as they come`;
const large = '16 callers, whole answers, prompts of 100 KB';
const streamsHeld = 1000;

interface Stand {
  readonly isQuick: boolean;
  readonly provider: ProviderProcess;
  readonly direct: ProviderProcess;
  readonly floor: PassThrough;
  readonly gateway: ModelGateway;
  readonly rival: Rival | undefined;
  /** Why it is not there. */
  readonly rivalFailure: string | undefined;
}

type TargetName = 'direct' | 'pass-through' | 'gatehouse' | 'portkey';

const model = 'bench/fast';
/** The same without content rules. */
const plainModel = 'bench/plain';

async function openStand(lab: Lab): Promise<Stand> {
  const provider = await lab.startProvider();
  const direct = await lab.startProvider('direct');
  const floor = await lab.startPassThrough(provider.port, streamsHeld);
  const gateway = await startGoverned(lab, provider.port);
  const { isQuick } = lab.settings;
  const common = { isQuick, provider, direct, floor, gateway };
  if (isQuick) return { ...common, rival: undefined, rivalFailure: 'Portkey is left out of a quick run' };
  try {
    return { ...common, rival: await lab.startRival(provider.port), rivalFailure: undefined };
  } catch (error) {
    return { ...common, rival: undefined, rivalFailure: `Portkey was not measured: ${(error as Error).message}` };
  }
}

/** With limits that no load reaches: what is measured is the deciding, the reserving and the settling. */
async function startGoverned(lab: Lab, providerPort: number): Promise<ModelGateway> {
  const place = { dataDir: lab.newData(), masterKey: newMasterKey() };
  const registrar = await openRegistrar(place);
  await registrar.policy('global', {
    limits: [{ per: 'global', rpm: 1_000_000_000 }],
    content: [{ rules: ['secrets', 'prompt-injection'], do: 'block', match: [model] }],
  });
  await registrar.policy('namespace:bench', { limits: [{ per: 'capability', tpm: 1_000_000_000 }] });
  const budget = { amount: 1_000_000, window: 'day', unit: 'usd' } as const;
  await registrar.consumer('shop', { limits: [{ per: 'consumer', budget }] });
  await registrar.secret('PROVIDER_KEY', 'sk-proj-0123456789abcdefghijklmnopqrstuvwxyz');
  const key = await registrar.key('caller', { consumer: 'shop', limits: [{ per: 'key', concurrency: 10_000 }] });
  await registrar.close();
  const { GATEHOUSE_DATA: data, ...environment } = placeSettings(place);
  return lab.startModelGateway(
    { data: data!, key, environment },
    { name: 'bench', text: namespaceFile(providerPort) },
    { model, isStream: false },
  );
}

function namespaceFile(providerPort: number): string {
  const target = [
    'name: primary, provider: openai, model: gpt-5-mini',
    `key: "\${secret:PROVIDER_KEY}"`,
    `url: "http://127.0.0.1:${providerPort}/v1", dialects: [chat], price: { input: 0.25, output: 2 }`,
  ];
  return [
    'namespace: bench',
    'description: Models of the benchmark',
    'upstreams:',
    `  fast: { kind: model, title: Fast, targets: [{ ${target.join(', ')} }] }`,
    `  plain: { kind: model, title: Plain, targets: [{ ${target.join(', ')} }] }`,
    '',
  ].join('\n');
}

function scenarios(stand: Stand): Scenario[] {
  const both: TargetName[] = ['pass-through', 'gatehouse'];
  const all: TargetName[] = ['direct', ...both, ...(stand.rival === undefined ? [] : (['portkey'] as const))];
  const beside = all.filter((name) => name !== 'direct');
  return [
    scenario(stand, whole, beside, { callers: 64, isStream: false }),
    scenario(stand, flatOut, beside, { callers: 64, isStream: true }),
    // As fast as they come, more chunks pass in a second than with gaps between them.
    { ...scenario(stand, paced, both, { callers: 64, isStream: true, gapMs: 5 }), warm: both },
    { ...scenario(stand, lone, all, { callers: 1, isStream: true }), warm: all },
    ...(stand.isQuick ? [] : [scenario(stand, large, both, { callers: 16, isStream: false, bytes: 100_000 })]),
  ];
}

interface Asking {
  readonly callers: number;
  readonly isStream: boolean;
  readonly gapMs?: number;
  readonly bytes?: number;
}

function scenario(stand: Stand, name: string, targets: readonly TargetName[], asking: Asking): Scenario {
  return {
    name,
    prepare: () => behave(stand, { streams: 'flowing', gapMs: asking.gapMs ?? 0 }),
    targets: targets.map((target) => ({ name: target, job: loadOn(stand, target, asking) })),
  };
}

async function behave({ provider, direct }: Stand, behaviour: Parameters<ProviderProcess['behave']>[0]): Promise<void> {
  await Promise.all([provider.behave(behaviour), direct.behave(behaviour)]);
}

function loadOn(stand: Stand, target: TargetName, { callers, isStream, bytes }: Asking): Load {
  const { address, child, headers } = addressed(stand, target);
  const prompt: Prompt = { model, isStream, headers, ...(bytes === undefined ? {} : { bytes }) };
  return {
    address,
    prompt,
    tools: [],
    callers,
    // What the gateway asks for besides shows in each chunk of a provider that has it; its last event, which nobody wanted, does not.
    expected: isStream
      ? { kind: 'stream', shape: { hasUsage: target === 'gatehouse', endsWithUsage: false } }
      : { kind: 'whole', isRewritten: target === 'portkey' },
    measuredPid: child.pid,
    otherPids: target === 'direct' ? [] : [stand.provider.child.pid],
  };
}

function addressed({ direct, floor, gateway, rival }: Stand, target: TargetName): Rival {
  if (target === 'direct') return { address: direct.address, child: direct.child, headers: [] };
  if (target === 'pass-through') return { address: floor.chat, child: floor.child, headers: [] };
  return target === 'portkey' ? rival! : { address: gateway.address, child: gateway.child, headers: [] };
}

function ratios(measured: Measurements, { rival, isQuick }: Stand): Values {
  const [ours, floor] = ['gatehouse', 'pass-through'] as const;
  const wrong = measured.rows().filter(({ target }) => target === ours);
  const missing = isQuick || rival === undefined ? ('skipped' as const) : undefined;
  return {
    'models cpu': measured.cpuRatio(whole, ours, floor),
    'models stream cpu': measured.cpuRatio(paced, ours, floor),
    'models rate': measured.timeRatio(whole, ours, floor, callsPerSecond),
    'models stream rate': measured.timeRatio(flatOut, ours, floor, callsPerSecond),
    'models first byte': measured.addedRatio(lone, ours, ({ firstByteUs }) => firstByteUs),
    'models exact': wrong.reduce((sum, row) => sum + row.wrong, 0),
    'models rival': missing ?? measured.timeRatio(whole, ours, 'portkey', callsPerSecond),
  };
}

/** A chunk is sent only when the one before it has come: what is held back shows, however slow a machine is. */
async function measureSteps(
  lab: Lab,
  { gateway, provider }: Stand,
  asked: string,
  steps: Pick<StepJob, 'count' | 'lateAfterMs'>,
) {
  lab.say('models: streams step by step');
  const prompt = { model: asked, isStream: true };
  return lab.stepStreams({ kind: 'steps', address: gateway.address, prompt, providerPort: provider.port, ...steps });
}

/** As many streams as there may be, of a chunk each half a second. */
async function holdBoth(lab: Lab, stand: Stand): Promise<readonly [floor: HeldResult, own: HeldResult]> {
  await behave(stand, { streams: 'endless', gapMs: 500 });
  const hold = (target: TargetName) => {
    lab.say(`models: ${streamsHeld} streams, ${target}`);
    const { address, child } = addressed(stand, target);
    const prompt = { model, isStream: true };
    const measured = { measuredPid: child.pid, otherPids: [stand.provider.child.pid] };
    const holdMs = stand.isQuick ? 1500 : 10_000;
    return lab.holdStreams({ kind: 'held', address, prompt, count: streamsHeld, holdMs, ...measured });
  };
  return [await hold('pass-through'), await hold('gatehouse')];
}

function heldValues(floor: HeldResult, held: HeldResult): Values {
  const ms = held.longestUs / 1000;
  // Where the pass-through stalls, it is not what it does that stalls.
  const isDoubtful = floor.longestUs > stallUs || (held.foreign ?? 0) > 0.15;
  return {
    'models memory': held.held === streamsHeld ? inMegabytes(held.memoryBytes) : undefined,
    'models stall': { value: ms, low: ms, high: ms, isDoubtful },
  };
}

const stallUs = 50_000;

function inMegabytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / megabyte;
}
