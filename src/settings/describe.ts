import { flagOf, type Key, keys, rows, structureKeys, structures, variableOf } from './rows.ts';

/** One command line flag per setting that is not a secret, and the settings file's. */
export function settingFlags(): readonly { readonly flag: string; readonly description: string }[] {
  const flags = keys
    .filter((key) => !rows[key].isSecret)
    .map((key) => ({ flag: `--${flagOf(key)} <value>`, description: describe(key) }));
  return [...flags, { flag: '--config <file>', description: 'File of settings. Default: ./gatehouse.yaml, if there is one.' }];
}

/** What `gatehouse --help` says about settings. */
export function settingsHelp(): string {
  const width = Math.max(...keys.map((key) => variableOf(key).length));
  const lines = keys.map((key) => `  ${variableOf(key).padEnd(width)}  ${describe(key)}`);
  const secrets = keys.filter((key) => rows[key].isSecret).map(variableOf);
  return [
    'A setting comes from its flag, else from its variable, else from gatehouse.yaml: --body-limit-bytes, GATEHOUSE_BODY_LIMIT_BYTES and',
    'bodyLimitBytes are one. Each of these has all three, but for the flag where it is a secret; --config names another file.',
    ...lines,
    `Without a flag: ${secrets.join(', ')}.`,
    `In gatehouse.yaml alone: ${structureKeys.join(', ')}.`,
  ].join('\n');
}

/** The README's table of settings, in Markdown. */
export function settingsTable(): string {
  const lines = keys.map((key) => {
    const { description, fallback, isSecret } = rows[key];
    const flag = isSecret ? '' : `\`--${flagOf(key)}\``;
    return `| \`${variableOf(key)}\` | ${flag} | \`${key}\` | ${fallback ? `\`${fallback}\`` : ''} | ${description} |`;
  });
  const more = structureKeys.map((key) => `|  |  | \`${key}\` |  | ${structures[key].description} |`);
  return ['| variable | flag | in gatehouse.yaml | default | meaning |', '|---|---|---|---|---|', ...lines, ...more].join('\n');
}

function describe(key: Key): string {
  const { description, fallback } = rows[key];
  return fallback ? `${description} Default: ${fallback}.` : description;
}
