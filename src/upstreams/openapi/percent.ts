// Percent-encoding (RFC 3986). `encodeURIComponent` leaves !'()* as they are, which are reserved.

const leftOver = /[!'()*]/g;

/** Everything but unreserved characters. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
export function encode(text: string): string {
  const encoded = encodeURIComponent(text.isWellFormed() ? text : text.toWellFormed());
  return leftOver.test(encoded) ? encoded.replaceAll(leftOver, encodeOne) : encoded;
}

function encodeOne(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/**
 * Leaves reserved characters and what is encoded already (RFC 6570 section 3.2.3), except those that would end the value: `&`, `#` and
 * `+` in a query. `[` and `]` are encoded, since no query may hold them as they are.
 */
export function encodeReserved(text: string): string {
  const encoded = encodeURI(text.isWellFormed() ? text : text.toWellFormed());
  return encoded.replaceAll(/%25([0-9A-Fa-f]{2})/g, '%$1').replaceAll(/[&#+[\]]/g, encodeOne);
}
