import type { Reach } from '../../fetch-json.ts';
import type { Provider, ProviderTarget } from '../provider.ts';
import { baseOf, cannot, encodeStrictly, lacking, regionOf, segmentOf, under, versionOf } from './address.ts';
import { keyOf, noCredential } from './credential.ts';
import { generateAddress } from './gemini.ts';
import { openGoogleTokens, readAccount } from './google-tokens.ts';

/**
 * Google Cloud's Vertex AI (cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference), with a service account or an
 * API key; its address for OpenAI clients where a target's `dialects` name theirs.
 */
export function openVertex(reach: Pick<Reach, 'fetchJson' | 'mayReach'>): Provider {
  const tokens = openGoogleTokens(reach);
  return {
    name: 'vertex',
    framing: 'sse',
    dialectsOf: (target) => target.dialects ?? ['gemini'],
    addressOf(target, operation, isStream) {
      const location = locationOf(target);
      const base = `${baseOf(target, `https://${hostOf(location)}/${versionOf(target, 'v1')}`)}/projects/${projectOf(target)}/locations/${location}`;
      const model = `/publishers/google/models/${segmentOf(target)}`;
      if (operation.kind === 'embed') return under(base, `${model}:predict`);
      if (operation.kind === 'generate' && operation.dialect === 'gemini') return generateAddress(base, model, isStream);
      if (operation.kind === 'generate' && operation.dialect === 'chat')
        return under(base, '/endpoints/openapi/chat/completions');
      throw cannot(target, operation);
    },
    authorize(target, { nowMs }) {
      const { credential } = target;
      if (credential?.kind === 'key') return { 'x-goog-api-key': keyOf(target) };
      if (credential?.kind !== 'google') throw noCredential(target, 'has no serviceAccount');
      const token = tokens.tokenFor(target, credential.account.reveal(), nowMs);
      return typeof token === 'string' ? bearer(token) : token.then(bearer);
    },
    refused({ credential }, { authorization = '' }, nowMs) {
      return credential?.kind === 'google' && tokens.refused(credential.account.reveal(), authorization.slice(7), nowMs);
    },
  };
}

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

function locationOf(target: ProviderTarget): string {
  return target.region === undefined ? 'global' : regionOf(target);
}

/** `us` and `eu` are regions of several places, with names of their own. */
function hostOf(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com';
  return location === 'us' || location === 'eu'
    ? `aiplatform.${location}.rep.googleapis.com`
    : `${location}-aiplatform.googleapis.com`;
}

const projects = new Map<string, string | undefined>();

/** A service account says to which project it belongs. */
function projectOf(target: ProviderTarget): string {
  const project = target.project ?? accountProject(target);
  if (project === undefined || !/^[a-z0-9][a-z0-9:.-]{0,99}$/.test(project)) {
    throw lacking(target, 'has no project, or none that can be; say the id of one of Google Cloud');
  }
  return encodeStrictly(project);
}

function accountProject(target: ProviderTarget): string | undefined {
  if (target.credential?.kind !== 'google') return undefined;
  const text = target.credential.account.reveal();
  if (!projects.has(text)) {
    if (projects.size >= 256) projects.clear();
    projects.set(text, readAccount(target, text).project);
  }
  return projects.get(text);
}
