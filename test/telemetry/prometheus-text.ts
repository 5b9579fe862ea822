/** One sample as Prometheus reads it. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const name = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const label = '[a-zA-Z_][a-zA-Z0-9_]*';
const labelled = new RegExp(`^(${name})(?:\\{(.*)\\})? (\\S+)$`, 'u');
const pair = new RegExp(`(${label})="((?:[^"\\\\]|\\\\["\\\\n])*)"(,|$)`, 'uy');
const number = /^(?:[+-]?Inf|NaN|[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)$/;
const types = new Set(['counter', 'gauge', 'histogram']);

/**
 * Reads the text format 0.0.4 more strictly than Prometheus does: every line must be of the grammar, every sample must follow the
 * one TYPE line of its family, no sample may occur twice, and histograms must be whole.
 */
export function parsePrometheus(text: string): readonly Sample[] {
  if (!text.endsWith('\n')) throw new Error('The last line does not end.');
  const samples: Sample[] = [];
  const families = new Map<string, string>();
  const seen = new Set<string>();
  let family = '';
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const comment = new RegExp(`^# (HELP|TYPE) (${name}) (.+)$`).exec(line);
    if (comment !== null) {
      const [, kind, of = '', rest = ''] = comment;
      if (kind !== 'TYPE') continue;
      if (!types.has(rest)) throw new Error(`No type: ${line}`);
      if (families.has(of)) throw new Error(`A second family of this name: ${line}`);
      families.set(of, rest);
      family = of;
      continue;
    }
    if (line.startsWith('#')) throw new Error(`No comment: ${line}`);
    const sample = parseSample(line);
    const base = families.get(family) === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name;
    if (base !== family) throw new Error(`Not of the family ${family}: ${line}`);
    const identity = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (seen.has(identity)) throw new Error(`The same sample twice: ${line}`);
    seen.add(identity);
    samples.push(sample);
  }
  for (const [of, type] of families) if (type === 'histogram') checkHistogram(of, samples);
  return samples;
}

function parseSample(line: string): Sample {
  const [, sample = '', inside, value = ''] = labelled.exec(line) ?? [];
  if (sample === '' || !number.test(value)) throw new Error(`No sample: ${line}`);
  const labels: Record<string, string> = {};
  pair.lastIndex = 0;
  while (inside !== undefined && pair.lastIndex < inside.length) {
    const [, key = '', text = '', comma] = pair.exec(inside) ?? [];
    if (key === '' || Object.hasOwn(labels, key)) throw new Error(`No labels: ${line}`);
    if (comma === ',' && pair.lastIndex === inside.length) throw new Error(`A comma too many: ${line}`);
    labels[key] = text.replaceAll(/\\(["\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return { name: sample, labels, value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value) };
}

function checkHistogram(of: string, samples: readonly Sample[]): void {
  const keyOf = ({ labels: { le: _, ...rest } }: Sample): string => JSON.stringify(Object.entries(rest).sort());
  const buckets = Map.groupBy(
    samples.filter((sample) => sample.name === `${of}_bucket`),
    keyOf,
  );
  const counts = new Map(
    samples.filter((sample) => sample.name === `${of}_count`).map((sample) => [keyOf(sample), sample.value]),
  );
  if (buckets.size !== counts.size) throw new Error(`${of} has buckets without a count, or the other way round.`);
  for (const [key, series] of buckets) {
    const values = series.map(({ value }) => value);
    if (values.some((value, at) => value < (values[at - 1] ?? 0))) throw new Error(`The buckets of ${of} do not grow.`);
    const last = series.at(-1);
    if (last?.labels.le !== '+Inf' || last.value !== counts.get(key)) throw new Error(`${of} does not end with its count.`);
  }
}

/** The sum of all samples of this name whose labels are these. */
export function sumOf(samples: readonly Sample[], of: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples
    .filter((sample) => sample.name === of && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
