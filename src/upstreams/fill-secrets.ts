import { secretNames } from '../secrets.ts';

interface SecretDeps {
  /** Puts secrets in place of `${secret:NAME}`. Throws GatewayError `bad_configuration` for one that is missing. */
  readonly resolveSecrets: (text: string) => string;
}

/** Every secret that these texts refer to. */
export function secretsOf(texts: readonly string[], { resolveSecrets }: SecretDeps): readonly string[] {
  return [...new Set(texts.flatMap(secretNames))].map((name) => resolveSecrets(`\${secret:${name}}`));
}

export function resolveAll(values: Readonly<Record<string, string>>, { resolveSecrets }: SecretDeps): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, resolveSecrets(value)]));
}
