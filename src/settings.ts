import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigurationError, type Problem, suggestName } from './problems.ts';
import {
  flagOf,
  isKey,
  isStructure,
  keys,
  rows,
  type StructureKey,
  structureKeys,
  structures,
  variableOf,
} from './settings/rows.ts';
import { isLoopback, Refusal } from './settings/values.ts';
import type { YamlFile } from './yaml-file.ts';

/** Every setting, checked and complete. Its fields are the rows of settings/rows.ts; `undefined` means that the operator left it out. */
export type Settings = { readonly [Key in keyof typeof rows]: ReturnType<(typeof rows)[Key]['parse']> } & {
  readonly [Key in StructureKey]: (typeof structures)[Key]['fallback'];
};

interface SettingSources {
  /** What followed each `--flag` on the command line, by its name in camel case; `config` names the settings file. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The working directory. */
  readonly directory: string;
}

interface Given {
  readonly text: string;
  /** As the person who has to change it knows it. */
  readonly label: string;
  readonly base: string;
  readonly place: Omit<Problem, 'message'>;
}

/** Settings from flags, then GATEHOUSE_* variables, then the settings file. Throws ConfigurationError with every problem. */
export async function readSettings({ flags, environment, directory }: SettingSources): Promise<Settings> {
  const problems: Problem[] = [];
  const outside = [readFlags(flags, directory, problems), readEnvironment(environment, directory, problems)];
  const file = await readFile(flags.config ?? environment.GATEHOUSE_CONFIG, directory, problems);
  const given = [...outside, file.given];
  const settings: Record<string, unknown> = { ...file.structures };
  for (const key of keys) {
    const { fallback, parse, isSecret } = rows[key];
    const source = given.find((source) => source.has(key))?.get(key);
    try {
      if (source !== undefined) settings[key] = parse(source.text, source.base);
      else settings[key] = fallback === undefined ? undefined : parse(fallback, directory);
    } catch (error) {
      if (!(error instanceof Refusal) || source === undefined) throw error;
      const value = isSecret || source.text.length > 100 ? '' : ` is ${JSON.stringify(source.text)}, but it`;
      problems.push({ ...source.place, message: `${source.label}${value} ${error.message}` });
    }
  }
  if (!given.some((source) => source.has('adminKey'))) refuseOpenDoor(settings.host, problems);
  if (!given.some((source) => source.has('publicUrl'))) refuseNamelessResource(settings, problems);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return Object.freeze(settings) as Settings;
}

// A key that Gatehouse makes up is shown in the log of its first start. On one machine only its user reads that; a network
// service's log goes to many people, and its data directory is often thrown away with the container.
function refuseOpenDoor(host: unknown, problems: Problem[]): void {
  if (typeof host !== 'string' || isLoopback(host)) return;
  problems.push({
    message: `The host ${host} can be reached from other machines, so ${variableOf('adminKey')} must be set: make one with "openssl rand -base64 32". To serve this machine alone, leave the host at 127.0.0.1.`,
  });
}

// A token for the wrong address is worth nothing, and the address that others use cannot be seen from here.
function refuseNamelessResource({ host, issuers }: Record<string, unknown>, problems: Problem[]): void {
  if (typeof host !== 'string' || isLoopback(host) || !Array.isArray(issuers) || issuers.length === 0) return;
  problems.push({
    message: `Tokens of "issuers" are issued for an address, so ${variableOf('publicUrl')} must be set to the one that clients use, e.g. https://gatehouse.example.com.`,
  });
}

function readFlags(flags: SettingSources['flags'], base: string, problems: Problem[]): Map<string, Given> {
  const found = new Map<string, Given>();
  for (const [key, text] of Object.entries(flags)) {
    if (text === undefined || key === 'config') continue;
    const label = `--${flagOf(key)}`;
    if (isStructure(key)) problems.push({ message: `${label} does not fit into a flag; write "${key}" into gatehouse.yaml.` });
    else if (!isKey(key)) problems.push({ message: `${label} is not a setting.${suggestName(key, keys)}` });
    else if (rows[key].isSecret)
      problems.push({ message: `${label} would show a secret in the list of processes; set ${variableOf(key)} instead.` });
    else found.set(key, { text, label, base, place: {} });
  }
  return found;
}

// The settings file's name, and the gateway that commands ask with the key they do it with.
const readElsewhere = new Set(['GATEHOUSE_CONFIG', 'GATEHOUSE_URL', 'GATEHOUSE_KEY']);

function readEnvironment(environment: SettingSources['environment'], base: string, problems: Problem[]): Map<string, Given> {
  const found = new Map<string, Given>();
  const byVariable = new Map(keys.map((key) => [variableOf(key), key]));
  const structured = new Map(structureKeys.map((key) => [variableOf(key), key]));
  for (const [label, text] of Object.entries(environment)) {
    // Compose files pass what is not set as an empty variable.
    if (!label.startsWith('GATEHOUSE_') || text === undefined || text === '' || readElsewhere.has(label)) continue;
    if (isServiceLink(label, text)) continue;
    const key = byVariable.get(label);
    if (structured.has(label))
      problems.push({
        message: `${label} does not fit into a variable; write "${structured.get(label)}" into gatehouse.yaml.`,
      });
    else if (key === undefined) problems.push({ message: `${label} is not a setting.${suggestName(label, byVariable.keys())}` });
    else found.set(key, { text, label, base, place: {} });
  }
  return found;
}

// Kubernetes tells every pod about a Service named "gatehouse" in variables of this form, one of them GATEHOUSE_PORT.
function isServiceLink(name: string, text: string): boolean {
  if (/^GATEHOUSE_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)$/.test(name)) return true;
  return name === 'GATEHOUSE_PORT' && /^(tcp|udp|sctp):\/\//.test(text);
}

interface SettingsFile {
  readonly given: Map<string, Given>;
  readonly structures: Record<string, unknown>;
}

async function readFile(named: string | undefined, directory: string, problems: Problem[]): Promise<SettingsFile> {
  const defaults = Object.fromEntries(structureKeys.map((key) => [key, structures[key].fallback]));
  const found: SettingsFile = { given: new Map(), structures: defaults };
  const file = resolve(directory, named ?? 'gatehouse.yaml');
  if (!existsSync(file)) {
    if (named !== undefined)
      problems.push({ file, message: 'There is no settings file here; correct --config or GATEHOUSE_CONFIG.' });
    return found;
  }
  // Parsing YAML costs a start 20 ms that most starts do not need.
  const { readYaml } = await import('./yaml-file.ts');
  const yaml = readYaml(readFileSync(file, 'utf8'), file);
  problems.push(...yaml.problems);
  const value = yaml.value ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    problems.push({ ...yaml.locate([]), message: 'A settings file is a list of "setting: value" lines.' });
    return found;
  }
  for (const [key, entry] of Object.entries(value)) {
    const place = yaml.locate([key]);
    const text = textOf(entry);
    if (isStructure(key)) problems.push(...(await readStructure(key, entry, yaml, found.structures)));
    else if (!isKey(key))
      problems.push({ ...place, message: `"${key}" is not a setting.${suggestName(key, [...keys, ...structureKeys])}` });
    else if (text === undefined)
      problems.push({ ...place, message: `"${key}" must be a single value or a list of single values.` });
    else if (text !== '') found.given.set(key, { text, label: `"${key}"`, base: resolve(file, '..'), place });
  }
  return found;
}

async function readStructure(
  key: StructureKey,
  entry: unknown,
  yaml: Pick<YamlFile, 'locate'>,
  found: Record<string, unknown>,
): Promise<Problem[]> {
  // A key with nothing behind it is one that is not set.
  if (entry === null) return [];
  const read = await structures[key].read(entry);
  if ('flaws' in read) return read.flaws.map(({ path, message }) => ({ ...yaml.locate([key, ...path]), message }));
  found[key] = read.value;
  return [];
}

function textOf(entry: unknown): string | undefined {
  if (Array.isArray(entry)) {
    const parts = entry.map(textOf);
    return parts.every((part) => part !== undefined) ? parts.join(',') : undefined;
  }
  if (entry === null) return '';
  return typeof entry === 'object' ? undefined : String(entry);
}
