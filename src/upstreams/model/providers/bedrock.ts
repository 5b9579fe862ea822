import type { ModelOperation, Provider, ProviderTarget } from '../provider.ts';
import { baseOf, cannot, regionOf, segmentOf, under } from './address.ts';
import { keyOf, noCredential } from './credential.ts';
import { signAws } from './sign-aws.ts';

/** Amazon Bedrock's runtime, with AWS credentials or one of its own API keys (docs.aws.amazon.com/bedrock/latest/APIReference). */
export const bedrock: Provider = {
  name: 'bedrock',
  framing: 'aws-event-stream',
  dialectsOf: (target) => target.dialects ?? ['converse'],
  addressOf(target, operation, isStream) {
    const region = regionOf(target);
    const domain = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
    const base = baseOf(target, `https://bedrock-runtime.${region}.${domain}`);
    return under(base, `/model/${segmentOf(target)}/${actionOf(target, operation, isStream)}`);
  },
  authorize(target, { url, body, nowMs }) {
    const { credential } = target;
    if (credential?.kind === 'key') return { authorization: `Bearer ${keyOf(target)}` };
    if (credential?.kind !== 'aws') throw noCredential(target, 'has neither accessKeyId and secretAccessKey nor a key');
    return signAws({ method: 'POST', url, headers: {}, body, region: regionOf(target), service: 'bedrock', nowMs }, credential);
  },
};

function actionOf(target: ProviderTarget, operation: ModelOperation, isStream: boolean): string {
  if (operation.kind === 'embed') return 'invoke';
  if (operation.kind === 'count' || operation.dialect !== 'converse') throw cannot(target, operation);
  return isStream ? 'converse-stream' : 'converse';
}
