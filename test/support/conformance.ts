import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { spawnMarked } from './processes.ts';
import { within } from './until.ts';

export type Revision = '2025-11-25' | '2026-07-28';
export type Role = 'server' | 'client';

/** Why a scenario or one check of it (`scenario:check-id`) is not passed. */
type ExpectedFailures = Readonly<Record<string, string>>;

interface ScenarioResult {
  readonly scenario: string;
  readonly failures: readonly { readonly check: string; readonly message: string }[];
  readonly passed: number;
}

interface Check {
  readonly id: string;
  readonly status: string;
  readonly errorMessage?: string;
}

const packageDirectory = fileURLToPath(new URL('../../node_modules/@modelcontextprotocol/conformance', import.meta.url));

/**
 * What a revision asks of a role, as frozen in the suite: what it requires, and what the suite added later. Optional extensions are
 * not part of it.
 */
export function listScenarios(revision: Revision, role: Role): string[] {
  const text = readFileSync(join(packageDirectory, 'requirements', `${revision}.yaml`), 'utf8');
  const { not_scored: unscored, ...required } = parse(text) as Record<Role, string[]> & {
    not_scored: { scenario: string; leg: Role; reason: string }[];
  };
  const added = unscored.filter(({ leg, reason }) => leg === role && reason !== 'extension');
  return [...required[role], ...added.map(({ scenario }) => scenario)];
}

/** Runs everything the suite has for this revision against a server. Unscored scenarios are part of the answer. */
export async function runServerSuite(url: string, revision: Revision): Promise<ScenarioResult[]> {
  return runSuite(['server', '--url', url, '--requirements', revision], 'server-', {});
}

/** Runs client scenarios against a command; the suite appends the URL of its own server to it. */
export async function runClientScenario(
  command: readonly string[],
  scenario: string,
  revision: Revision,
  environment: Readonly<Record<string, string>>,
): Promise<ScenarioResult[]> {
  const args = ['client', '--command', command.join(' '), '--scenario', scenario, '--spec-version', revision];
  return runSuite(args, '', environment);
}

async function runSuite(
  args: readonly string[],
  prefix: string,
  environment: Readonly<Record<string, string>>,
): Promise<ScenarioResult[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-conformance-'));
  const suite = spawnMarked(process.execPath, [join(packageDirectory, 'dist', 'index.js'), ...args, '--output-dir', directory], {
    env: environment,
  });
  try {
    await within(120_000, `conformance ${args.join(' ')}`, suite.exited);
    return readResults(directory, prefix);
  } finally {
    await suite.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** One folder per scenario: `<prefix><scenario>-<time>/checks.json`; a scenario's name may itself have folders. */
function readResults(directory: string, prefix: string): ScenarioResult[] {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('checks.json'));
  return files.map((file) => {
    const scenario = dirname(file)
      .slice(prefix.length)
      .replace(/-\d{4}-\d{2}-\d{2}T[\d-]+Z$/, '');
    const checks = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Check[];
    const failed = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
    return {
      scenario,
      failures: failed.map(({ id, errorMessage }) => ({ check: id, message: errorMessage ?? '' })),
      passed: checks.filter(({ status }) => status === 'SUCCESS').length,
    };
  });
}

/**
 * What stands between a run and its promise: a scenario that did not run, a failure nobody expected, and an expectation
 * that no longer holds. Empty when all is as it should be.
 */
export function judge(results: readonly ScenarioResult[], scenarios: readonly string[], expected: ExpectedFailures): string[] {
  const problems: string[] = [];
  const failed = new Set<string>();
  for (const scenario of scenarios) {
    const result = results.find((candidate) => candidate.scenario === scenario);
    if (result === undefined) {
      problems.push(`${scenario}: did not run`);
      continue;
    }
    for (const { check, message } of result.failures) {
      failed.add(scenario).add(`${scenario}:${check}`);
      if (expected[scenario] === undefined && expected[`${scenario}:${check}`] === undefined) {
        problems.push(`${scenario}:${check}: ${message}`);
      }
    }
  }
  for (const name of Object.keys(expected)) {
    if (!failed.has(name)) problems.push(`${name}: passes; remove it from the expected failures`);
  }
  return problems;
}

/** The expected failures of one leg, each with its reason. */
export function readExpectedFailures(leg: string): ExpectedFailures {
  const file = new URL('../e2e/conformance-expected-failures.yml', import.meta.url);
  return (parse(readFileSync(file, 'utf8')) as Record<string, ExpectedFailures | null>)[leg] ?? {};
}
