import type { JudgeSettings } from '../content/content-schema.ts';
import { askModeration, askSimple, type Judge, NoVerdict, readModeration, readSimple } from '../content/judge.ts';
import type { Reach } from '../upstreams/fetch-json.ts';

interface UrlJudgePorts {
  readonly settings: JudgeSettings & { readonly url: string };
  readonly reach: Pick<Reach, 'fetchJson'>;
  /** `${secret:NAME}` to its value. Throws where there is none. */
  readonly resolveSecret: (text: string) => string | Promise<string>;
}

/** A judge at an address: a moderation endpoint in OpenAI's shape, or one's own. */
export function urlJudge({ settings: { url, key, shape, moderationModel }, reach, resolveSecret }: UrlJudgePorts): Judge {
  // Policies are written by those who administer one namespace, too: what is inside stays out of their reach.
  const named: ReadonlySet<string> = new Set();
  const isSimple = shape === 'simple';
  return {
    async verdict(texts, categories, deadlineMs) {
      const asked = isSimple ? askSimple(texts, categories) : askModeration(texts, moderationModel);
      const authorization = key === undefined ? {} : { authorization: `Bearer ${await resolveSecret(key)}` };
      const { status, body } = await reach.fetchJson({
        ...{ url, method: 'POST', headers: { 'content-type': 'application/json', ...authorization } },
        ...{ body: JSON.stringify(asked), named, deadlineMs },
      });
      if (status !== 200 || body === undefined) throw new NoVerdict(`the judge answered ${status}`);
      return isSimple ? readSimple(body) : readModeration(body);
    },
  };
}
