/** Turns a document that was read into tools. Everything that a document says is hostile until it was looked at here. */
import { isObject } from '../../wire/json.ts';
import { refuse } from './check-size.ts';
import type { Conversion, Operation, SecurityScheme } from './conversion.ts';
import { type ConversionLimits, toolBytesFor } from './conversion-limits.ts';
import { convertOperation, type OperationContext } from './convert-operation.ts';
import { convertSchemas } from './convert-schema.ts';
import { identifyFormat } from './document-format.ts';
import { fitSchemas } from './fit-schema.ts';
import { listOperations, type RawOperation } from './list-operations.ts';
import { nameOperations } from './operation-name.ts';
import { collectProblems, type ProblemList } from './problem-list.ts';
import { readSecuritySchemes } from './read-security.ts';
import { readServers } from './read-servers.ts';
import { openReferences, type Sources } from './references.ts';
import { findLoops } from './schema-loops.ts';
import { cutText, textOf } from './text.ts';

/** A conversion on its way: operations are made one by one, as they are taken; problems are complete after the last. */
export interface ConversionStream {
  readonly head: Omit<Conversion, 'operations' | 'problems'>;
  readonly operations: Iterable<Operation>;
  readonly problems: ProblemList;
}

/** Throws GatewayError `bad_description`. */
export function convertDocument(sources: Sources, limits: ConversionLimits): ConversionStream {
  const { root: document } = sources;
  const problems = collectProblems();
  const { version, family } = identifyFormat(document, problems);
  const references = openReferences(sources);
  const report = (pointer: string, message: string) => problems.add('changed', '', pointer, message);
  const info = isObject(document.info) ? document.info : {};
  const securitySchemes = readSecuritySchemes(document, family, references, report);
  const head = {
    title: cutText(textOf(info.title) ?? '', 200),
    version: cutText(String(info.version ?? ''), 100),
    description: textOf(info.description) === undefined ? undefined : cutText(textOf(info.description) ?? '', 20_000),
    format: version,
    servers: readServers(document, family, report),
    securitySchemes,
  };
  const listed = listOperations(document, references, problems);
  if (listed.length > limits.operations) throw refuse(`has ${listed.length} operations; at most ${limits.operations} are read.`);
  const toolBytes = toolBytesFor(listed.length, limits);
  if (toolBytes < limits.toolBytes) {
    report('/paths', `With ${listed.length} operations, each tool is described in ${toolBytes} bytes at most.`);
  }
  const shared = { references, loops: findLoops(references), problems, family };
  const [inputs, outputs] = [convertSchemas(shared, 'input'), convertSchemas(shared, 'output')];
  const context: OperationContext = {
    ...shared,
    document,
    inputs,
    outputs,
    inputFitter: fitSchemas(inputs),
    outputFitter: fitSchemas(outputs),
    securitySchemes,
    credentials: credentialsIn(securitySchemes),
    parameterSchemas: new WeakMap(),
    shared: new WeakMap(),
    plans: new Map(),
    toolBytes,
  };
  return { head, operations: convertAll(listed, context), problems };
}

/** The same, whole. */
export function convertWhole(sources: Sources, limits: ConversionLimits): Conversion {
  const { head, operations, problems } = convertDocument(sources, limits);
  return { ...head, operations: [...operations], problems: problems.all() };
}

function credentialsIn(schemes: Readonly<Record<string, SecurityScheme>>): ReadonlySet<string> {
  const keys = Object.values(schemes).flatMap((scheme) => {
    if (scheme.kind !== 'apiKey') return [];
    return [`${scheme.in} ${scheme.in === 'header' ? scheme.name.toLowerCase() : scheme.name}`];
  });
  return new Set(keys);
}

function* convertAll(listed: readonly RawOperation[], context: OperationContext): Generator<Operation> {
  reportTwins(listed, context.problems);
  const names = nameOperations(listed);
  for (const raw of listed) {
    const operation = convertOne(raw, names.get(raw.id) ?? '', context);
    if (operation !== undefined) yield operation;
  }
}

/** What goes wrong with one operation takes no other with it. */
function convertOne(raw: RawOperation, name: string, context: OperationContext): Operation | undefined {
  try {
    return convertOperation(raw, name, context);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    context.problems.add('lost', raw.id, raw.place.pointer, `This operation could not be converted: ${message}`);
    return undefined;
  }
}

function reportTwins(listed: readonly RawOperation[], problems: ProblemList): void {
  const seen = new Map<string, string>();
  for (const { id, operationId, place } of listed) {
    if (operationId === undefined) continue;
    const first = seen.get(operationId);
    if (first === undefined) seen.set(operationId, id);
    else
      problems.add(
        'changed',
        id,
        `${place.pointer}/operationId`,
        `"${operationId.slice(0, 100)}" is the operationId of ${first}, too; both tools get other names.`,
      );
  }
}
