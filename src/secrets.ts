import { GatewayError } from './errors.ts';

const reference = /\$\{secret:([A-Za-z_][A-Za-z0-9_]*)\}/g;
const opening = `\${secret`;

/** The names that a text refers to as `${secret:NAME}`, in order. */
export function secretNames(text: string): string[] {
  return Array.from(text.matchAll(reference), (match) => match[1] ?? '');
}

/** What is wrong with the references in a text, as a sentence; undefined when nothing is. */
export function checkSecretReferences(text: string): string | undefined {
  // Whatever still opens a reference once the good ones are gone is nested, a wildcard or a slip.
  if (text.replaceAll(reference, '').includes(opening)) {
    return `a secret is referred to as \${secret:NAME}, where NAME is one name: letters, digits and _ only.`;
  }
  const own = secretNames(text).find((name) => name.toUpperCase().startsWith('GATEHOUSE_'));
  if (own !== undefined) return `\${secret:${own}} is one of Gatehouse's own settings, which never leave it; use another name.`;
  return undefined;
}

/**
 * Replaces each `${secret:NAME}` by the value of NAME. What it puts in is never looked at again, so a secret's
 * value cannot refer to another secret. The result must not be logged.
 * Throws GatewayError `bad_configuration`, which names every secret that is missing and no value.
 */
export function resolveSecrets(text: string, values: Readonly<Record<string, string | undefined>>): string {
  const complaint = checkSecretReferences(text);
  if (complaint !== undefined) throw new GatewayError('bad_configuration', complaint);
  const missing = secretNames(text).filter((name) => !Object.hasOwn(values, name) || (values[name] ?? '') === '');
  if (missing.length > 0) {
    const names = [...new Set(missing)];
    const [are, them] = names.length === 1 ? ['is', 'it as a secret'] : ['are', 'them as secrets'];
    throw new GatewayError(
      'bad_configuration',
      `${names.join(', ')} ${are} not set, but the configuration refers to ${them}. Set each with "gatehouse set-secret <name>", as a file in the directory of secrets, or as a variable of Gatehouse's environment at its next start.`,
    );
  }
  return text.replaceAll(reference, (_whole, name: string) => values[name] ?? '');
}
