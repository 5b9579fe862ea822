import { Refusal } from './refusal.ts';

// What no caller can set, whatever a description says: it belongs to the connection, to the way here, or to who is let in.
const ours =
  /^(host|connection|content-length|content-type|transfer-encoding|te|trailer|upgrade|keep-alive|expect|accept|accept-encoding|authorization|cookie|set-cookie|www-authenticate|forwarded|via|x-real-ip|x-forwarded-.*|x-original-.*|x-rewrite-url|x-http-method.*|x-method-override|proxy-.*|sec-.*|mcp-.*|x-gatehouse-.*|traceparent|tracestate|user-agent)$/i;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const longestValue = 8_192;

/** Whether a caller's argument may become this header. */
export function isSettable(name: string): boolean {
  return token.test(name) && !ours.test(name);
}

/** Whether a credential may be sent as this header: those of the connection itself never. */
export function isCredentialHeader(name: string): boolean {
  return (
    token.test(name) &&
    (!ours.test(name) || /^(authorization|cookie|proxy-authorization|x-forwarded-.*|x-gatehouse-key)$/i.test(name))
  );
}

/** A caller's value for a header, one line of plain ASCII (RFC 9110 section 5.5). Throws Refusal. */
export function headerValue(argument: string, text: string): string {
  if (text.length > longestValue)
    throw new Refusal(`The argument "${argument}" is sent as a header and has more than ${longestValue} characters; shorten it.`);
  if (/[^\t\x20-\x7e]/.test(text))
    throw new Refusal(`The argument "${argument}" is sent as a header: it may hold one line of plain ASCII only. Change it.`);
  return text;
}
