import { describe, expect, test } from 'vitest';
import { checkModelRules } from '../../src/catalog/check-model-rules.ts';
import { completeConfig } from '../../src/catalog/complete-config.ts';
import { describeModel } from '../../src/catalog/describe-model.ts';
import { readNamespaceFile } from '../../src/catalog/namespace-file.ts';

const key = `\${secret:KEY}`;

function complete(model: object, origin: 'file' | 'guarded' = 'file') {
  const read = readNamespaceFile({ namespace: 'models', upstreams: { fast: { kind: 'model', ...model } } });
  if (!('file' in read)) throw new Error(JSON.stringify(read.flaws));
  const [config] = completeConfig(read.file, '/gh/namespaces/models.yaml', origin).upstreams;
  if (config?.transport.type !== 'model') throw new Error('no model');
  return { config, transport: config.transport };
}

describe('a model', () => {
  test('is complete with defaults, and nothing of it is reviewed', () => {
    const { config, transport } = complete({ targets: [{ provider: 'openai', model: 'gpt-5-mini', key }] });
    expect(config).toMatchObject({ kind: 'model', concurrency: 2000, timeoutMs: 300_000, maxDurationMs: 1_800_000 });
    expect(config).not.toHaveProperty('review');
    expect(transport).toEqual({
      type: 'model',
      aliases: [],
      targets: [
        {
          name: 'openai',
          provider: 'openai',
          model: 'gpt-5-mini',
          headers: {},
          credential: { kind: 'key', key },
          weight: 1,
          version: 'openai',
          limits: {},
        },
      ],
      routing: {
        mode: 'priority',
        rules: [],
        attempts: 3,
        failover: {
          errorRate: 0.5,
          minimumCalls: 10,
          windowMs: 60_000,
          consecutiveErrors: 3,
          ejectMs: 5_000,
          longestEjectMs: 300_000,
        },
      },
      can: ['text'],
      hostedTools: [],
      heldIds: [],
      defaults: {},
    });
    expect(Object.isFrozen(transport.targets[0]?.limits)).toBe(true);
  });

  test('names its targets after their providers, and twice the same with a number that no other has', () => {
    const { transport } = complete({
      targets: [
        { provider: 'openai', model: 'a', key },
        { provider: 'openai', model: 'b', key },
        { provider: 'openai', model: 'c', key, name: 'openai-2', version: 'v2' },
      ],
    });
    expect(transport.targets.map(({ name, version }) => [name, version])).toEqual([
      ['openai', 'openai'],
      ['openai-3', 'openai-3'],
      ['openai-2', 'v2'],
    ]);
  });

  test('takes the credential of each provider, and of a price what is said', () => {
    const { transport } = complete({
      targets: [
        { provider: 'bedrock', model: 'a', location: 'us-east-1', accessKeyId: 'AK', secretAccessKey: key, sessionToken: key },
        { provider: 'bedrock', model: 'a', location: 'us-east-1', key },
        { provider: 'vertex', model: 'a', location: 'europe-west4', serviceAccount: key, project: 'p' },
        { provider: 'openai-compatible', model: 'llama', url: 'http://localhost:11434/v1', price: { input: 1, output: 2 } },
      ],
    });
    expect(transport.targets.map(({ credential }) => credential)).toEqual([
      { kind: 'aws', accessKeyId: 'AK', secretAccessKey: key, sessionToken: key },
      { kind: 'key', key },
      { kind: 'google', account: key },
      undefined,
    ]);
    expect(transport.targets[3]?.price).toEqual({ input: 1, output: 2, cacheRead: 1, cacheWrite: 1 });
  });

  test('that is registered at run time reaches guarded addresses only; one of a file what is written', () => {
    const model = { targets: [{ provider: 'openai', model: 'a', key }] };
    expect(complete(model, 'guarded').transport.isGuarded).toBe(true);
    expect(complete(model).transport).not.toHaveProperty('isGuarded');
  });

  test('says what is wrong with its rules; right ones pass', async () => {
    const file = (when: string) => ({
      upstreams: {
        fast: {
          kind: 'model' as const,
          targets: [{ provider: 'openai' as const, model: 'a', key, name: 'one' }],
          routing: { rules: [{ when, targets: ['one'] }] },
        },
      },
    });
    expect(await checkModelRules(file('caller.consumer == "billing"'))).toEqual([]);
    expect(await checkModelRules(file('caller.consumer =='))).toEqual([
      { path: ['upstreams', 'fast', 'routing', 'rules', 0, 'when'], message: expect.stringMatching(/rule line 1/) },
    ]);
  });
});

describe('the description of a model', () => {
  const target = { provider: 'openai', model: 'a', key };

  test('says what it is and what it costs, and nothing that is secret', () => {
    const { config } = complete({
      aliases: ['gpt-x'],
      can: ['text', 'tools'],
      contextWindow: 1000,
      targets: [
        { ...target, region: 'eu', price: { input: 1, output: 4 } },
        { ...target, url: 'https://internal.example.com/v1' },
      ],
    });
    const description = describeModel(config);
    expect(description).toMatchObject({
      ...{
        id: 'models/fast',
        aliases: ['gpt-x'],
        providers: ['openai'],
        can: ['text', 'tools'],
        contextWindow: 1000,
        priceTier: 'medium',
      },
      targets: [{ name: 'openai', region: 'eu' }, { name: 'openai-2' }],
    });
    expect(JSON.stringify(description)).not.toMatch(/secret|internal/);
  });

  test.each([
    [undefined, undefined],
    [{ input: 0, output: 0 }, 'free'],
    [{ input: 0.25, output: 2 }, 'low'],
    [{ input: 3, output: 15 }, 'medium'],
    [{ input: 15, output: 75 }, 'high'],
  ])('%j is %s', (price, tier) => {
    const { config } = complete({ targets: [{ ...target, ...(price === undefined ? {} : { price }) }] });
    expect(describeModel(config)?.priceTier).toBe(tier);
  });
});
