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
    return `a secret is referred to as \${secret:NAME}, where NAME is the name of one environment variable: letters, digits and _ only.`;
  }
  const own = secretNames(text).find((name) => name.toUpperCase().startsWith('GATEHOUSE_'));
  if (own !== undefined)
    return `\${secret:${own}} is one of Gatehouse's own settings, which never leave it; use another variable.`;
  return undefined;
}

/**
 * Replaces each `${secret:NAME}` by the environment variable NAME. What it puts in is never looked at again, so a secret's
 * value cannot refer to another secret. The result must not be logged.
 * Throws GatewayError `bad_configuration`, which names every variable that is missing and no value.
 */
export function resolveSecrets(text: string, environment: Readonly<Record<string, string | undefined>>): string {
  const complaint = checkSecretReferences(text);
  if (complaint !== undefined) throw new GatewayError('bad_configuration', complaint);
  const missing = secretNames(text).filter((name) => !Object.hasOwn(environment, name) || (environment[name] ?? '') === '');
  if (missing.length > 0) {
    const names = [...new Set(missing)];
    throw new GatewayError(
      'bad_configuration',
      `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not set in the environment of Gatehouse, but the configuration refers to ${
        names.length === 1 ? 'it' : 'them'
      } as a secret. Set ${names.length === 1 ? 'it' : 'them'} and start again.`,
    );
  }
  return text.replaceAll(reference, (_whole, name: string) => environment[name] ?? '');
}
