import { createServer } from 'node:http';
import { listenOn } from './upstreams/listen-on.ts';

/** What a webhook is told of a call that waits. */
export interface Heard {
  readonly approval: string;
  readonly decisions?: { readonly url: string; readonly tokens: Readonly<Record<string, string>> };
}

/** A webhook that hears of calls that wait, and the settings of a gateway whose members may decide by what they are told there. */
export interface DecisionHook {
  readonly heard: readonly { readonly type: string; readonly data: Heard }[];
  /** What decisions are signed with. */
  readonly secret: string;
  /** For `startGated`. */
  readonly options: { readonly file: string; readonly settings: Readonly<Record<string, string>> };
  close(): Promise<void>;
}

export async function startDecisionHook(members: readonly string[]): Promise<DecisionHook> {
  const heard: DecisionHook['heard'][number][] = [];
  const secret = 'decision-secret';
  const { url, close } = await listenOn(
    createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      heard.push(JSON.parse(Buffer.concat(chunks).toString()));
      response.writeHead(204).end();
    }),
  );
  const file = `notify:
  webhook:
    url: "${url}/x"
    secret: "\${secret:HOOK}"
    decisions: { secret: "\${secret:DECIDE}", members: [${members.join(', ')}] }
`;
  return { heard, secret, options: { file, settings: { HOOK: 'event-secret', DECIDE: secret } }, close };
}
