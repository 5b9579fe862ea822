import type { Logger } from 'pino';
import { modelEmbedder } from '../call/model-embedder.ts';
import { modelJudge } from '../call/model-judge.ts';
import type { CallModel } from '../call/own-call.ts';
import { urlJudge } from '../call/url-judge.ts';
import type { Clock } from '../clock.ts';
import type { Judges } from '../content/judge.ts';
import type { ReplyCaches } from '../models/cache/reply-caches.ts';
import type { Reach } from '../upstreams/fetch-json.ts';
import type { Kept } from './kept.ts';

interface ReplyPorts {
  readonly kept: Pick<Kept, 'store' | 'openReplyCache'>;
  /** The gateway's own questions are governed like everybody's. */
  readonly callModel: CallModel;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Answers that models give again. */
interface Replies {
  /** Opened by the first who asks: most gateways have no such model. */
  caches(): Promise<ReplyCaches>;
  close(): Promise<void>;
}

export function openReplies({ kept, callModel, clock, log }: ReplyPorts): Replies {
  let opened: { readonly close: () => Promise<void> } | undefined;
  let opening: Promise<ReplyCaches> | undefined;
  const open = async (): Promise<ReplyCaches> => {
    const { ReplyCaches } = await import('../models/cache/reply-caches.ts');
    const cache = await kept.openReplyCache();
    const caches = new ReplyCaches({
      cache,
      key: await kept.store.sealing.get('reply'),
      clock,
      embedder: (model) => modelEmbedder(model, callModel),
      warn: (error) =>
        log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'a question could not be compared'),
    });
    opened = cache;
    return caches;
  };
  return {
    caches() {
      opening ??= open();
      return opening;
    },
    close: async () => await opened?.close(),
  };
}

interface JudgePorts {
  readonly kept: Pick<Kept, 'secrets'>;
  readonly reach: () => Reach;
  readonly callModel: CallModel;
}

/** Who is asked of content where a rule alone does not decide: a service at an address, or a model of the catalog. */
export function openJudges({ kept, reach, callModel }: JudgePorts): Judges {
  return {
    of(settings) {
      const { url, model } = settings;
      if (url === undefined) return modelJudge(model ?? '', callModel);
      return urlJudge({
        settings: { ...settings, url },
        reach: reach(),
        resolveSecret: (text) => kept.secrets.resolve(text),
      });
    },
  };
}
