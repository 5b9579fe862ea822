import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface SlowReplies {
  readonly port: number;
  /** What is sent goes on at once; answers wait until the returned function is called. */
  hold(): () => void;
  /** As soon as a client sends something with this text in it, answers wait for that long, once. */
  holdAfter(text: string, durationMs: number): void;
}

/** Between clients and a server on a loopback port: answers come when the test says so. */
export async function slowReplies(port: number): Promise<SlowReplies> {
  const sockets = new Set<Socket>();
  const backs = new Set<Socket>();
  let trigger: { readonly text: string; readonly durationMs: number } | undefined;
  const hold = () => {
    for (const back of backs) back.pause();
    return () => {
      for (const back of backs) back.resume();
    };
  };
  const server = createServer((client) => {
    const back = dial(port, '127.0.0.1');
    for (const socket of [client, back]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    backs.add(back);
    back.on('data', (data) => client.write(data));
    client.on('data', (data) => {
      if (trigger !== undefined && data.includes(trigger.text)) {
        const { durationMs } = trigger;
        trigger = undefined;
        setTimeout(hold(), durationMs);
      }
      back.write(data);
    });
    back.on('close', () => client.destroy());
    client.on('close', () => {
      backs.delete(back);
      back.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    port: (server.address() as AddressInfo).port,
    hold,
    holdAfter(text, durationMs) {
      trigger = { text, durationMs };
    },
  };
}
