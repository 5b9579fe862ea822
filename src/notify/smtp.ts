import type { Transporter } from 'nodemailer';
import type { Audience, Channel, NotifyEvent } from './notify.ts';
import type { SmtpSettings } from './notify-settings.ts';

interface SmtpPorts {
  readonly settings: SmtpSettings;
  /** `${secret:NAME}` to its value. Throws where there is none. */
  readonly resolveSecret: (text: string) => string | Promise<string>;
  /** Addresses of those whom an event is for. */
  readonly addressesOf: (audience: Audience) => readonly string[];
}

/** A server that hangs is tried again later, as one that is away. */
const connectWithinMs = 10_000;
const answerWithinMs = 30_000;
const mostRecipients = 100;

/** Mails each event to those it is for, and to the addresses of the settings. Nobody sees who else got it. */
export function smtpChannel({ settings, resolveSecret, addressesOf }: SmtpPorts): Channel {
  return {
    name: 'smtp',
    async send(event) {
      const recipients = [...new Set([...(settings.to ?? []), ...addressesOf(event.audience)])].slice(0, mostRecipients);
      if (recipients.length === 0) return;
      const transport = await connect(settings, resolveSecret);
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
        transport.close();
      }
    },
  };
}

// The library is large, and most gateways send no mail; secrets may be set anew between two mails.
async function connect(
  { host, port, security = 'tls', user, password }: SmtpSettings,
  resolveSecret: SmtpPorts['resolveSecret'],
): Promise<Transporter> {
  const { createTransport } = await import('nodemailer');
  const auth = user === undefined || password === undefined ? {} : { auth: { user, pass: await resolveSecret(password) } };
  return createTransport({
    ...{ host, port: port ?? (security === 'tls' ? 465 : 587), secure: security === 'tls', ...auth },
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    connectionTimeout: connectWithinMs,
    greetingTimeout: connectWithinMs,
    socketTimeout: answerWithinMs,
  });
}

function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').slice(0, 200);
}

function textOf({ text, url, data }: NotifyEvent): string {
  return [text, ...(url === undefined ? [] : ['', url]), '', JSON.stringify(data, undefined, 2), ''].join('\n');
}
