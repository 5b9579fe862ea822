import { randomBytes } from 'node:crypto';
import { modelsPlace } from '../catalog/catalog.ts';
import { type Judge, judgePrompt, NoVerdict, readJudgement } from '../content/judge.ts';
import { RpcFailure } from '../upstreams/upstream.ts';
import { Cancel } from '../wire/cancel.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';
import { type Caller, makeCaller } from './authenticate/caller.ts';
import { nobody } from './authenticate/key-ring.ts';
import type { Outcome } from './inspect.ts';

/** Room for the scores of all categories. */
const verdictTokens = 500;

/** Who asks a judge: the gateway itself. Its calls are limited and on record like any other, and judged by nobody. */
const judging: Caller = makeCaller({ ...nobody, id: 'gateway:judge', kind: 'gateway' });

/** A registered model as a judge. */
export function modelJudge(model: string, callModel: (caller: Caller, ask: Ask) => Promise<Outcome>): Judge {
  return {
    async verdict(texts, categories, deadlineMs) {
      const nonce = randomBytes(12).toString('hex');
      const { system, user } = judgePrompt(texts, categories, nonce);
      const body = { model, max_tokens: verdictTokens, system, messages: [{ role: 'user', content: user }] };
      const cancel = new Cancel();
      const timer = setTimeout(() => cancel.cancel('the judge took too long'), deadlineMs);
      try {
        const outcome = await callModel(judging, askOf(model, body, cancel));
        if (outcome.kind !== 'reply') throw new NoVerdict('the model did not answer');
        return readJudgement(textOf(JSON.parse(outcome.body.toString())), categories, nonce);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function askOf(model: string, body: JsonObject, cancel: Cancel): Ask {
  return {
    door: 'http',
    era: 'modern',
    toolbox: modelsPlace,
    method: 'models/call',
    params: { name: model, dialect: 'messages', arguments: body },
    meta: undefined,
    client: { principal: judging.id, session: undefined, capabilities: {} },
    conversation: {
      takesRounds: false,
      logLevel: undefined,
      progress: undefined,
      log() {},
      notify() {},
      ask: () => Promise.reject(new RpcFailure({ code: -32601, message: 'Nothing can be asked here.' })),
    },
    retry: undefined,
    cancel,
    ip: '',
    traceHeaders: undefined,
    bytesIn: JSON.stringify(body).length,
    isJudging: true,
  };
}

function textOf({ content }: JsonObject): string {
  if (!Array.isArray(content)) return '';
  return content.map((block) => (isObject(block) && typeof block.text === 'string' ? block.text : '')).join('');
}
