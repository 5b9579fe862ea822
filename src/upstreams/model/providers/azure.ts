import type { ModelOperation, Provider, ProviderTarget } from '../provider.ts';
import { baseOf, cannot, segmentOf, under } from './address.ts';
import { keyOf } from './credential.ts';
import { openaiPath } from './openai-paths.ts';

/**
 * Azure OpenAI in both of its forms: without an API version `/openai/v1`, where the deployment is named in the body; with one
 * (`2024-10-21`) `/openai/deployments/{deployment}` (learn.microsoft.com/azure/ai-foundry/openai/reference).
 */
export const azure: Provider = {
  name: 'azure',
  framing: 'sse',
  dialectsOf: (target) => target.dialects ?? ['chat', 'responses'],
  addressOf(target, operation) {
    const path = openaiPath(operation);
    if (path === undefined) throw cannot(target, operation);
    // People copy it with and without the path.
    const root = baseOf(target, undefined).replace(/\/openai(?:\/v1)?$/, '');
    const { apiVersion } = target;
    if (apiVersion === undefined || apiVersion === 'v1') return under(root, `/openai/v1${path}`);
    if (!/^\d/.test(apiVersion)) return under(root, `/openai/v1${path}`, { 'api-version': apiVersion });
    return under(root, `/openai${deploymentOf(target, operation)}${path}`, { 'api-version': apiVersion });
  },
  authorize: (target) => ({ 'api-key': keyOf(target) }),
};

/** Responses are not asked of a deployment: it is named in their body. */
function deploymentOf(target: ProviderTarget, operation: ModelOperation): string {
  const isResponses = operation.kind !== 'embed' && operation.dialect === 'responses';
  return isResponses ? '' : `/deployments/${segmentOf(target)}`;
}
