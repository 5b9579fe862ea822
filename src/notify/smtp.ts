import { connect as connectTo, type Socket } from 'node:net';
import type { Transporter } from 'nodemailer';
import type { Audience, Channel, NotifyEvent } from './notify.ts';
import type { SmtpSettings } from './notify-settings.ts';

interface SmtpPorts {
  readonly settings: SmtpSettings;
  /** `${secret:NAME}` to its value. Throws where there is none. */
  readonly resolveSecret: (text: string) => string | Promise<string>;
  /** Addresses of those whom an event is for. */
  readonly addressesOf: (audience: Audience) => readonly string[];
  /** Longest time for one mail. */
  readonly withinMs?: number;
}

/** A server that hangs is tried again later, as one that is away. */
const connectWithinMs = 10_000;
const answerWithinMs = 30_000;
/** In all, also for a server that says a word now and then; shorter than a notice is held for. */
const usuallyWithinMs = 60_000;
const mostRecipients = 100;

/** Mails each event to those it is for, and to the addresses of the settings. Nobody sees who else got it. */
export function smtpChannel({ settings, resolveSecret, addressesOf, withinMs = usuallyWithinMs }: SmtpPorts): Channel {
  return {
    name: 'smtp',
    async send(event) {
      const recipients = [...new Set([...(settings.to ?? []), ...addressesOf(event.audience)])].slice(0, mostRecipients);
      if (recipients.length === 0) return;
      const { transport, giveUp } = await connect(settings, resolveSecret);
      const timer = setTimeout(giveUp, withinMs);
      try {
        await transport.sendMail({
          from: settings.from,
          to: settings.from,
          envelope: { from: settings.from, to: recipients },
          // The same event sent again is the same mail.
          messageId: `<${event.id}@${settings.host}>`,
          date: new Date(event.atMs),
          subject: `[Gatehouse] ${oneLine(event.title)}`,
          text: textOf(event),
          headers: { 'Auto-Submitted': 'auto-generated' },
          disableFileAccess: true,
          disableUrlAccess: true,
        });
      } finally {
        clearTimeout(timer);
        giveUp();
        transport.close();
      }
    },
  };
}

// The library is large, and most gateways send no mail; secrets may be set anew between two mails.
async function connect(
  { host, port, security = 'tls', user, password }: SmtpSettings,
  resolveSecret: SmtpPorts['resolveSecret'],
): Promise<{ readonly transport: Transporter; readonly giveUp: () => void }> {
  const { createTransport } = await import('nodemailer');
  const usualPort = security === 'tls' ? 465 : 587;
  let socket: Socket | undefined;
  const auth = user === undefined || password === undefined ? {} : { auth: { user, pass: await resolveSecret(password) } };
  const transport = createTransport({
    ...{ host, port: port ?? usualPort, secure: security === 'tls', ...auth },
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    connectionTimeout: connectWithinMs,
    greetingTimeout: connectWithinMs,
    socketTimeout: answerWithinMs,
    // The library knows how long a server may be silent, and not how long it may talk.
    getSocket(_options: unknown, callback: (error: Error | null, options?: { connection: Socket }) => void) {
      const opened = connectTo({ host, port: port ?? usualPort, timeout: connectWithinMs });
      socket = opened;
      opened.once('timeout', () => opened.destroy(new Error('the mail server cannot be connected to in time')));
      opened.once('error', callback);
      opened.once('connect', () => {
        opened.removeListener('error', callback);
        opened.setTimeout(0).removeAllListeners('timeout');
        callback(null, { connection: opened });
      });
    },
  });
  return { transport, giveUp: () => void socket?.destroy(new Error('the mail server takes too long')) };
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').slice(0, 200);
}

function textOf({ text, url, data }: NotifyEvent): string {
  return [text, ...(url === undefined ? [] : ['', url]), '', JSON.stringify(data, undefined, 2), ''].join('\n');
}
