import packageJson from '../package.json' with { type: 'json' };

export const { version } = packageJson;
/** What the command line calls itself, with the version behind a slash. */
export const commandAgent = 'gatehouse-cli';
