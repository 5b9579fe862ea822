import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * Seals a value so that whoever carries it can neither read nor change it: AES-256-GCM, base64url of nonce, ciphertext and tag.
 * `purpose` is bound in, so that what was sealed for one use opens for no other.
 */
export function seal(key: Buffer, purpose: string, value: unknown): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose));
  return Buffer.concat([nonce, cipher.update(JSON.stringify(value), 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64url',
  );
}

/**
 * What `seal` was given, or undefined for anything it did not make with this key and purpose. The last character may hold bits that mean
 * nothing: written another way, what was used up or ended once would be something new.
 */
export function unseal(key: Buffer, purpose: string, sealed: string): unknown {
  if (!/^[A-Za-z0-9_-]{38,65536}$/.test(sealed)) return undefined;
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.toString('base64url') !== sealed) return undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAAD(Buffer.from(purpose));
    decipher.setAuthTag(bytes.subarray(-16));
    return JSON.parse(Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The same for bytes of any length: nonce, ciphertext and tag, as bytes. */
export function sealBytes(key: Buffer, purpose: string, bytes: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose));
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** What `sealBytes` was given, or undefined for anything it did not make with this key and purpose. */
export function unsealBytes(key: Buffer, purpose: string, sealed: Buffer): Buffer | undefined {
  if (sealed.length < 28) return undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(Buffer.from(purpose));
    decipher.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
  } catch {
    return undefined;
  }
}
