import { randomBytes } from 'node:crypto';
import { type Judge, judgePrompt, NoVerdict, readJudgement } from '../content/judge.ts';
import { Cancel } from '../wire/cancel.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import { type CallModel, ownAsk, ownCaller } from './own-call.ts';

/** Room for the scores of all categories. */
const verdictTokens = 500;

const judging = ownCaller('judge');

/** A registered model as a judge. */
export function modelJudge(model: string, callModel: CallModel): Judge {
  return {
    async verdict(texts, categories, deadlineMs) {
      const nonce = randomBytes(12).toString('hex');
      const { system, user } = judgePrompt(texts, categories, nonce);
      const body = { model, max_tokens: verdictTokens, system, messages: [{ role: 'user', content: user }] };
      const cancel = new Cancel();
      const timer = setTimeout(() => cancel.cancel('the judge took too long'), deadlineMs);
      try {
        const outcome = await callModel(judging, ownAsk(judging, model, 'messages', body, cancel));
        if (outcome.kind !== 'reply') throw new NoVerdict('the model did not answer');
        return readJudgement(textOf(JSON.parse(outcome.body.toString())), categories, nonce);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function textOf({ content }: JsonObject): string {
  if (!Array.isArray(content)) return '';
  return content.map((block) => (isObject(block) && typeof block.text === 'string' ? block.text : '')).join('');
}
