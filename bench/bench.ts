import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { judge, passes, skip, type Verdict } from './bars.ts';
import { Lab, type LabSettings } from './lab.ts';
import { formatSuite, formatVerdicts, type SuiteReport } from './report.ts';
import { calls } from './suites/calls.ts';
import { converted } from './suites/converted.ts';
import { faults } from './suites/faults.ts';
import { governed } from './suites/governed.ts';
import { list } from './suites/list.ts';
import { memory } from './suites/memory.ts';
import { models } from './suites/models.ts';
import { payload } from './suites/payload.ts';
import { soak } from './suites/soak.ts';
import { start } from './suites/start.ts';
import type { Suite } from './suites/suite.ts';
import { upstreams } from './suites/upstreams.ts';

const suites: Readonly<Record<string, Suite>> = {
  calls,
  models,
  payload,
  list,
  start,
  memory,
  upstreams,
  faults,
  governed,
  converted,
  soak,
};

const usage = `Usage: npm run bench -- [options] [suite...]
  --quick           what the bars need, within three minutes
  --only <suites>   the same as suites without a name: some of
                    ${Object.keys(suites).join(', ')} (separated by commas)
  --long            the soak too
  --rounds <n>      rounds of each measurement (5; 3 with --quick, 1 if it is
                    calm with --quick --gate)
  --json <file>     where the result goes (bench/results/<time>.json)
  --gate[=<slack>]  exit with 1 when a bar is missed by more than this factor (1)
  --command <line>  the gateway to measure (node dist/gatehouse.mjs serve)
`;

interface Options extends LabSettings {
  readonly suites: readonly string[];
  readonly jsonPath: string;
  /** Undefined: misses are only reported. */
  readonly gate: number | undefined;
}

const root = join(import.meta.dirname, '..');
/** With --quick no suite begins later than this, and the last one has a few seconds to finish its round. */
const quickMs = 205_000;

function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: args.map((arg) => (arg === '--gate' ? '--gate=1' : arg)),
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'string' },
      rounds: { type: 'string' },
      gate: { type: 'string' },
      command: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) throw new Error('');
  const isQuick = values.quick;
  const named = [...(values.only?.split(',') ?? []), ...positionals];
  const chosen = named.length > 0 ? named : Object.keys(suites).filter((name) => name !== 'soak' || values.long);
  const unknown = chosen.find((name) => !(name in suites));
  if (unknown !== undefined) throw new Error(`There is no suite "${unknown}".`);
  const rounds = positive('--rounds', values.rounds) ?? (isQuick ? 3 : 5);
  const gate = positive('--gate', values.gate);
  const stamp = new Date().toISOString().replace(/[:.]/gu, '-');
  return {
    isQuick,
    rounds: Math.ceil(rounds),
    // One round tells what is worse by a factor; what seems to be is measured again in all of them.
    calmRounds: isQuick && gate !== undefined && values.rounds === undefined ? 1 : Number.POSITIVE_INFINITY,
    warmMs: isQuick ? 150 : 500,
    measureMs: isQuick ? 600 : 2000,
    deadline: isQuick ? performance.now() + quickMs : Number.POSITIVE_INFINITY,
    gatewayCommand: values.command?.split(' ') ?? [process.execPath, join(root, 'dist', 'gatehouse.mjs'), 'serve'],
    suites: chosen,
    jsonPath: resolve(values.json ?? join(root, 'bench', 'results', `${stamp}.json`)),
    gate,
  };
}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} needs a number above 0, not "${text}".`);
  return value;
}

async function run(options: Options): Promise<number> {
  const lab = await Lab.open(options);
  // What is running dies with us, whichever way we go.
  process.once('exit', () => lab.abandon());
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
  const machine = {
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
    system: `${process.platform} ${release()}`,
    node: process.version,
    load: loadavg()[0],
    placement: lab.placement.text,
  };
  process.stdout.write(
    `${machine.cpus} x ${machine.cpu}, ${machine.system}, Node ${machine.node}, load ${machine.load?.toFixed(1)}\n`,
  );
  process.stdout.write(`Placement: ${machine.placement}\n`);
  if (process.platform !== 'linux') process.stdout.write('CPU time and memory are read from /proc: unsupported here.\n');
  process.stdout.write('CPU x and calls/s x: against the pass-through of the same round; medians of the rounds.\n\n');

  const reports: SuiteReport[] = [];
  for (const name of options.suites) {
    const report = await runSuite(lab, name);
    process.stdout.write(`${formatSuite(report)}\n`);
    reports.push(await confirm(lab, report, options.gate));
  }
  const verdicts = reports.flatMap((report) => report.verdicts);
  process.stdout.write(`${formatVerdicts(verdicts, options.gate)}\n`);
  mkdirSync(dirname(options.jsonPath), { recursive: true });
  const { suites: _, jsonPath: __, ...settings } = options;
  writeFileSync(options.jsonPath, `${JSON.stringify({ at: new Date().toISOString(), machine, settings, reports }, null, 2)}\n`);
  process.stderr.write(`Result: ${options.jsonPath}\n`);
  await lab.close();

  const { gate } = options;
  if (gate === undefined) return 0;
  const isGood = reports.every((report) => report.failure === undefined) && verdicts.every((verdict) => passes(verdict, gate));
  return isGood ? 0 : 1;
}

/** A suite that a gate would stop is measured once more: what got worse is worse again, a moment of a busy machine is not. */
async function confirm(lab: Lab, first: SuiteReport, gate: number | undefined): Promise<SuiteReport> {
  const isGood = ({ outcome, ...verdict }: Verdict) => outcome === 'unmeasured' || passes({ outcome, ...verdict }, gate!);
  if (gate === undefined || first.failure !== undefined || first.verdicts.every(isGood)) return first;
  lab.say(`${first.suite}: worse than the gate lets pass, measured again`);
  const { calmRounds } = lab;
  lab.calmRounds = Number.POSITIVE_INFINITY;
  const second = await runSuite(lab, first.suite, Number.POSITIVE_INFINITY);
  lab.calmRounds = calmRounds;
  process.stdout.write(`Again, as the gate would have stopped it:\n${formatSuite(second)}\n`);
  return { ...second, verdicts: first.verdicts.map((verdict, at) => (isGood(verdict) ? verdict : second.verdicts[at]!)) };
}

async function runSuite(lab: Lab, name: string, deadline = lab.settings.deadline): Promise<SuiteReport> {
  const startedAt = performance.now();
  const report = (rest: Omit<SuiteReport, 'suite' | 'seconds'>) => ({
    suite: name,
    seconds: (performance.now() - startedAt) / 1000,
    ...rest,
  });
  if (startedAt > deadline)
    return report({
      rows: [],
      figures: [{ text: 'no time was left for it', value: undefined, unit: '' }],
      verdicts: skip(name),
      failure: undefined,
    });
  try {
    const { rows, figures, values } = await suites[name]!(lab);
    return report({ rows, figures, verdicts: judge(name, values), failure: undefined });
  } catch (error) {
    return report({ rows: [], figures: [], verdicts: judge(name, {}), failure: (error as Error).message });
  } finally {
    await lab.clear();
  }
}

let options: Options;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${usage}`.trimStart());
  process.exit(2);
}
process.exitCode = await run(options);
