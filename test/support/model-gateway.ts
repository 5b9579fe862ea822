import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { type AdminGateway, openAdminGateway } from './admin-gateway.ts';
import { startAnthropic } from './model-providers/anthropic.ts';
import { startBedrock } from './model-providers/bedrock.ts';
import { startGemini } from './model-providers/gemini.ts';
import { startAzure, startOpenai } from './model-providers/openai.ts';
import type { StandIn } from './model-providers/stand-in.ts';
import { startVertex } from './model-providers/vertex.ts';

export const providerNames = ['openai', 'azure', 'openai-compatible', 'anthropic', 'gemini', 'vertex', 'bedrock'] as const;
export type ProviderName = (typeof providerNames)[number];

/** One provider on loopback, and a target that is there. */
export interface Place {
  readonly standIn: StandIn;
  /** Members of a target in a namespace file; without a name. */
  readonly target: Readonly<Record<string, unknown>>;
  /** Secrets that the target refers to. */
  readonly secrets: Readonly<Record<string, string>>;
}

let places = 0;
/** Text that is found again wherever it goes. */
const credential = () => `canary-${crypto.randomUUID().replaceAll('-', '')}`;

export async function startPlace(provider: ProviderName): Promise<Place> {
  const key = credential();
  const name = `KEY_${++places}`;
  const withKey = (standIn: StandIn, url: string, model: string, more: object = {}): Place => ({
    standIn,
    target: { provider, model, url, key: `\${secret:${name}}`, ...more },
    secrets: { [name]: key },
  });
  switch (provider) {
    case 'openai': {
      const standIn = await startOpenai({ key, isStrict: true });
      return withKey(standIn, `${standIn.url}/v1`, 'gpt-5-mini');
    }
    case 'openai-compatible': {
      const standIn = await startOpenai({ key });
      return withKey(standIn, `${standIn.url}/v1`, 'llama-4');
    }
    case 'azure': {
      const standIn = await startAzure({ key });
      return withKey(standIn, standIn.url, 'gpt-5-mini');
    }
    case 'anthropic': {
      const standIn = await startAnthropic({ key });
      return withKey(standIn, `${standIn.url}/v1`, 'claude-sonnet-4-5');
    }
    case 'gemini': {
      const standIn = await startGemini({ key });
      return withKey(standIn, `${standIn.url}/v1beta`, 'gemini-3-flash');
    }
    case 'vertex': {
      // With a service account: test/e2e/models/service-accounts.test.ts.
      const standIn = await startVertex({ project: 'p-1', location: 'europe-west4', key });
      return withKey(standIn, `${standIn.url}/v1`, 'gemini-3-flash', { project: 'p-1', location: 'europe-west4' });
    }
    case 'bedrock': {
      const aws = { accessKeyId: 'AKIDSTANDIN', secretAccessKey: key };
      const standIn = await startBedrock({ ...aws, region: 'eu-central-1' });
      return {
        standIn,
        target: {
          provider,
          model: 'anthropic.claude-sonnet-4-5-20250929-v1:0',
          url: standIn.url,
          location: 'eu-central-1',
          accessKeyId: aws.accessKeyId,
          secretAccessKey: `\${secret:${name}}`,
        },
        secrets: { [name]: key },
      };
    }
  }
}

export interface ModelGateway extends AdminGateway {
  /** Of an application that may call every model. */
  readonly appKey: string;
  openai(key?: string, options?: object): OpenAI;
  anthropic(key?: string, options?: object): Anthropic;
  /** A POST as it is, with the key in Authorization. */
  post(path: string, body: string | object, key?: string, more?: RequestInit): Promise<Response>;
}

interface Options {
  /** By name, as in a namespace file, `kind` aside. */
  readonly models: Readonly<Record<string, object>>;
  readonly policy?: object;
  readonly places: readonly Place[];
  readonly limits?: readonly object[];
  /** Other namespaces, by name. */
  readonly namespaces?: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly clock?: { nowMs(): number };
}

/** A gateway whose namespace `models` has these models. */
export async function openModelGateway(options: Options): Promise<ModelGateway> {
  const { models, policy, limits = [], namespaces = {}, secrets = {}, clock } = options;
  const upstreams = Object.fromEntries(Object.entries(models).map(([name, model]) => [name, { kind: 'model', ...model }]));
  const file = JSON.stringify({ namespace: 'models', upstreams, ...(policy === undefined ? {} : { policy }) });
  const gateway = await openAdminGateway({
    namespaces: { models: file, ...namespaces },
    settings: Object.assign({}, secrets, ...options.places.map((place) => place.secrets)),
    ...(clock === undefined ? {} : { clock }),
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'App', kind: 'application', limits });
  const appKey = (await gateway.ok('POST /keys', { id: 'app', title: 'App', consumer: 'app' })).secret;
  return {
    ...gateway,
    appKey,
    openai: (apiKey = appKey, more = {}) =>
      new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0, timeout: 20_000, ...more }),
    anthropic: (apiKey = appKey, more = {}) =>
      new Anthropic({ apiKey, authToken: null, baseURL: gateway.url, maxRetries: 0, timeout: 20_000, ...more }),
    post: (path, body, key = appKey, more = {}) =>
      fetch(gateway.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...more,
      }),
  };
}
