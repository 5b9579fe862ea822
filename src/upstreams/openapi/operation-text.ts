/**
 * Operations as text, for the way out of the import process and into the store. What several of them have in common, parameters and
 * schemas of answers, is written once: of 22,000 operations it would be more than half the text.
 */
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Operation, ParameterPlan } from './conversion.ts';

/** Some operations, and what they and those of later chunks refer to by its place among all that came so far. */
export interface OperationChunk {
  readonly parameters: readonly ParameterPlan[];
  readonly schemas: readonly JsonObject[];
  readonly operations: readonly ShortOperation[];
}

/** With numbers where parameters stand, and where the schema of the answer stands. */
interface ShortOperation extends Omit<Operation, 'request'> {
  readonly request: Omit<Operation['request'], 'parameters'> & { readonly parameters: readonly number[] };
}

/** Each an OperationChunk as JSON, made as it is taken. */
export function* writeOperations(operations: Iterable<Operation>, chunkCharacters: number): Generator<string> {
  const [parameters, schemas] = [collectParts(), collectParts()];
  let texts: string[] = [];
  let size = 0;
  const chunk = () =>
    `{"parameters":[${parameters.take().join(',')}],"schemas":[${schemas.take().join(',')}],"operations":[${texts.join(',')}]}`;
  for (const operation of operations) {
    const { tool, request } = operation;
    const { outputSchema } = tool;
    const short = {
      ...operation,
      tool: isObject(outputSchema) ? { ...tool, outputSchema: schemas.numberOf(outputSchema) } : tool,
      request: { ...request, parameters: request.parameters.map(parameters.numberOf) },
    };
    const text = JSON.stringify(short);
    texts.push(text);
    size += text.length;
    if (size + parameters.size() + schemas.size() < chunkCharacters) continue;
    yield chunk();
    texts = [];
    size = 0;
  }
  if (texts.length > 0) yield chunk();
}

interface Parts {
  numberOf(part: object): number;
  /** Those that nobody has heard of yet, as JSON. */
  take(): readonly string[];
  /** Of them, in characters. */
  size(): number;
}

function collectParts(): Parts {
  const numbers = new WeakMap<object, number>();
  let count = 0;
  let waiting: string[] = [];
  let size = 0;
  return {
    numberOf(part) {
      const known = numbers.get(part);
      if (known !== undefined) return known;
      const text = JSON.stringify(part);
      numbers.set(part, count);
      waiting.push(text);
      size += text.length;
      return count++;
    },
    take() {
      const taken = waiting;
      waiting = [];
      size = 0;
      return taken;
    },
    size: () => size,
  };
}

/** Takes chunks in the order in which they were written. What operations have in common is one object for all of them. */
export function readOperations(): (chunk: OperationChunk) => Operation[] {
  const parameters: ParameterPlan[] = [];
  const schemas: JsonObject[] = [];
  const restore = (short: ShortOperation): Operation => {
    const { tool, request } = short;
    const outputSchema = typeof tool.outputSchema === 'number' ? schemas[tool.outputSchema] : undefined;
    const plans = request.parameters.flatMap((number) => parameters[number] ?? []);
    return {
      ...short,
      tool: outputSchema === undefined ? tool : { ...tool, outputSchema },
      request: { ...request, parameters: plans },
    };
  };
  return (chunk) => {
    for (const parameter of chunk.parameters) parameters.push(parameter);
    for (const schema of chunk.schemas) schemas.push(schema);
    return chunk.operations.map(restore);
  };
}
