import { GatewayError } from '../../errors.ts';
import type { Edge } from './edge.ts';
import type { Session } from './session.ts';
import type { Visitor } from './sessions.ts';

/** From now on the client of this session hears when the resource changes. Throws GatewayError. */
export async function subscribe(edge: Edge, ip: string, session: Session, uri: unknown): Promise<void> {
  if (typeof uri !== 'string') throw new GatewayError('invalid_params', '"uri" must be a string.');
  if (session.subscriptions.has(uri)) return;
  // Its place is taken before anything is waited for: a second request, or the end of the session, finds it there.
  let isWanted = true;
  const place = () => {
    isWanted = false;
  };
  session.subscriptions.set(uri, place);
  try {
    const onUpdated = () => session.notify('notifications/resources/updated', { uri });
    const end = await edge.subscriptions.add(edge.catalog(), {
      circumstances: () => edge.circumstances(ip),
      caller: () => session.caller,
      toolbox: session.toolbox,
      uri,
      onUpdated,
    });
    if (!isWanted) {
      end();
      return;
    }
    session.subscriptions.set(uri, end);
  } catch (error) {
    if (session.subscriptions.get(uri) === place) session.subscriptions.delete(uri);
    throw error;
  }
  edge.sessions.save(session);
}

/** Takes up again what a session that came back from its id had subscribed to; what cannot be had yet is tried at the next change. */
export function restoreSubscriptions(edge: Edge, { ip }: Visitor, session: Session, uris: readonly string[]): void {
  session.unrestored = new Set(uris);
  session.restore = () => {
    for (const uri of session.unrestored ?? []) {
      subscribe(edge, ip, session, uri).then(
        () => session.unrestored?.delete(uri),
        (error: unknown) => edge.log.debug({ err: error, uri }, 'a subscription cannot be taken up yet'),
      );
    }
  };
  session.restore();
}

export function unsubscribe(edge: Edge, session: Session, uri: unknown): void {
  if (typeof uri !== 'string') throw new GatewayError('invalid_params', '"uri" must be a string.');
  session.unrestored?.delete(uri);
  session.subscriptions.get(uri)?.();
  if (session.subscriptions.delete(uri)) edge.sessions.save(session);
}
