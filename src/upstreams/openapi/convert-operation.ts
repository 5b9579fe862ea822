/** One operation as a tool, and how a call of it becomes a request. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ToolDefinition } from '../upstream.ts';
import { nameArguments } from './argument-names.ts';
import type { HttpMethod, Operation, ParameterPlan, SecurityScheme } from './conversion.ts';
import type { SchemaContext, SchemaPart, Schemas } from './convert-schema.ts';
import type { FittedSchema, Fitter } from './fit-schema.ts';
import type { RawOperation } from './list-operations.ts';
import { readAnswer } from './read-answer.ts';
import { type Body, readBody } from './read-body.ts';
import { type NamedParameter, readExamples } from './read-examples.ts';
import { type ParameterContext, readParameters } from './read-parameters.ts';
import { readSecurity } from './read-security.ts';
import { serversIn } from './read-servers.ts';
import type { Place } from './references.ts';
import { readSwaggerBody } from './swagger-body.ts';
import { cutText, stringsIn, textOf } from './text.ts';

export interface OperationContext extends SchemaContext {
  readonly document: JsonObject;
  readonly inputs: Schemas;
  readonly outputs: Schemas;
  readonly inputFitter: Fitter;
  readonly outputFitter: Fitter;
  readonly securitySchemes: Readonly<Record<string, SecurityScheme>>;
  readonly credentials: ReadonlySet<string>;
  /** Of parameters that several operations have, by where their schemas are. */
  readonly parameterSchemas: WeakMap<Place, SchemaPart>;
  readonly shared: ParameterContext['shared'];
  readonly plans: Map<string, ParameterPlan>;
  readonly toolBytes: number;
}

/** Undefined where there can be no tool; why is among the problems. */
export function convertOperation(operation: RawOperation, name: string, context: OperationContext): Operation | undefined {
  const { id, method, path, operationId, place, raw } = operation;
  const report = (pointer: string, message: string) => context.problems.add('changed', id, pointer, message);
  const { parameters, body } = readArguments(operation, context, report);
  const answer = readAnswer(operation, { ...context, produces: context.document.produces, report });
  const texts = describe(operation);
  const schemas = fitTool(operation, argumentsSchema(parameters, body, context), answer.part, texts, context);
  if (schemas === undefined) return undefined;
  const tool: ToolDefinition = { name, ...texts, ...schemas, annotations: annotate(method) };
  return {
    id,
    method,
    path,
    operationId,
    tags: stringsIn(raw.tags).map((tag) => tag.slice(0, 200)),
    tool,
    request: {
      server: serversIn(raw.servers ?? operation.item.value.servers, `${place.pointer}/servers`, report)[0],
      parameters: parameters.map((parameter) => planParameter(parameter, context.plans)),
      body: body === undefined ? undefined : { argument: body.argument, ...body.plan },
    },
    answer: { accept: answer.accept, isWrapped: answer.isWrapped && tool.outputSchema !== undefined },
    security: readSecurity(raw.security, context.document.security, context.securitySchemes, (message) =>
      report(place.pointer, message),
    ),
    examples: readExamples(parameters, body, context.references),
  };
}

interface Arguments {
  readonly parameters: readonly NamedParameter[];
  readonly body: (Body & { readonly argument: string }) | undefined;
}

function readArguments(
  operation: RawOperation,
  context: OperationContext,
  report: (pointer: string, message: string) => void,
): Arguments {
  const { parameters, bodyParameters } = readParameters(operation, { ...context, report });
  const names = nameArguments(parameters);
  const consumes = stringsIn(operation.raw.consumes ?? context.document.consumes);
  const body =
    context.family === '2.0'
      ? readSwaggerBody(bodyParameters, consumes, { ...context, report })
      : readBody(operation, { ...context, report });
  return {
    parameters: parameters.map((parameter, index) => ({ ...parameter, argument: names.names[index] ?? parameter.name })),
    body: body === undefined ? undefined : { ...body, argument: names.body },
  };
}

function argumentsSchema(parameters: readonly NamedParameter[], body: Arguments['body'], context: OperationContext): SchemaPart {
  const references = new Set<string>();
  const properties: [string, Json][] = [];
  const add = (name: string, part: SchemaPart) => {
    for (const reference of part.references) references.add(reference);
    properties.push([name, part.schema]);
  };
  for (const parameter of parameters) add(parameter.argument, parameterSchema(parameter, context));
  if (body !== undefined) add(body.argument, describeArgument(body.part, body.description, false));
  const required = parameters.filter(({ isRequired }) => isRequired).map(({ argument }) => argument);
  if (body?.plan.isRequired === true) required.push(body.argument);
  const schema: JsonObject = { type: 'object', properties: Object.fromEntries(properties) };
  if (required.length > 0) schema.required = required;
  schema.additionalProperties = false;
  return { schema, references };
}

const nothingKnown: SchemaPart = { schema: {}, references: new Set() };

function parameterSchema(parameter: NamedParameter, { inputs, parameterSchemas }: OperationContext): SchemaPart {
  const { argument, name, schema, description, isDeprecated } = parameter;
  const isNamedSo = argument === name;
  const known = schema === undefined || !isNamedSo ? undefined : parameterSchemas.get(schema);
  if (known !== undefined) return known;
  const part = schema === undefined ? nothingKnown : inputs.convert(schema);
  // What it is called in the request says more than a name that had to be changed.
  const made = describeArgument(part, description ?? (isNamedSo ? undefined : name), isDeprecated);
  if (schema !== undefined && isNamedSo) parameterSchemas.set(schema, made);
  return made;
}

function describeArgument(
  { schema, references }: SchemaPart,
  description: string | undefined,
  isDeprecated: boolean,
): SchemaPart {
  const described: JsonObject = {
    ...(isObject(schema) ? schema : schema === false ? { not: {} } : {}),
    ...(description === undefined ? {} : { description: cutText(description, 2_000) }),
    ...(isDeprecated ? { deprecated: true } : {}),
  };
  return { schema: described, references };
}

interface ToolTexts extends JsonObject {
  title: string;
  description: string;
}

const titleLength = 120;
const descriptionLength = 4_000;

function describe({ id, operationId, raw }: RawOperation): ToolTexts {
  const summary = textOf(raw.summary);
  const description = textOf(raw.description);
  const isSaid = summary !== undefined && description !== undefined && !description.startsWith(summary);
  const text = isSaid ? `${summary}\n\n${description}` : (description ?? summary ?? id);
  const deprecated = raw.deprecated === true ? 'Deprecated. ' : '';
  return {
    title: cutText((summary ?? operationId ?? id).replaceAll(/\s+/g, ' '), titleLength),
    description: cutText(`${deprecated}${text}`, descriptionLength),
  };
}

/** MCP: hints to clients; what is enforced is the policy's. */
function annotate(method: HttpMethod): JsonObject {
  const isSafe = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY'].includes(method);
  if (isSafe) return { readOnlyHint: true, openWorldHint: true };
  return {
    readOnlyHint: false,
    ...(method === 'DELETE' ? { destructiveHint: true } : {}),
    ...(method === 'DELETE' || method === 'PUT' ? { idempotentHint: true } : {}),
    openWorldHint: true,
  };
}

interface ToolSchemas {
  readonly inputSchema: JsonObject;
  readonly outputSchema?: JsonObject;
}

/** Arguments get three quarters of the room, the answer what they leave. */
function fitTool(
  { id, place }: RawOperation,
  input: SchemaPart,
  output: SchemaPart | undefined,
  texts: ToolTexts,
  context: OperationContext,
): ToolSchemas | undefined {
  const { problems, toolBytes } = context;
  const room = toolBytes - Buffer.byteLength(JSON.stringify(texts)) - 200;
  const fitted = context.inputFitter.fit(input, Math.max(room * 0.75, toolBytes / 4));
  if (fitted === undefined) {
    problems.add('lost', id, place.pointer, `Its arguments are too many to be described in ${toolBytes} bytes.`);
    return undefined;
  }
  const answer = output === undefined ? undefined : fitAnswer(output, Math.max(room - fitted.bytes, toolBytes / 8), context);
  reportPruned(fitted, 'arguments', (message) => problems.add('changed', id, place.pointer, message));
  if (output !== undefined && answer === undefined)
    problems.add('changed', id, place.pointer, 'The description of its answer is too large, and left out.');
  if (answer !== undefined) reportPruned(answer, 'answer', (message) => problems.add('changed', id, place.pointer, message));
  return { inputSchema: fitted.schema, ...(answer === undefined ? {} : { outputSchema: answer.schema }) };
}

function fitAnswer(output: SchemaPart, limitBytes: number, { outputFitter }: OperationContext): FittedSchema | undefined {
  // MCP takes only objects, and this one is not null.
  const schema = { ...(isObject(output.schema) ? output.schema : {}), type: 'object' };
  return outputFitter.fit({ ...output, schema }, limitBytes);
}

function reportPruned({ pruned, bytes }: FittedSchema, what: string, report: (message: string) => void): void {
  if (pruned === 'nothing') return;
  const left = {
    descriptions: 'descriptions are shortened',
    examples: 'descriptions and examples are left out',
    depth: 'what is nested deeply is left open',
  };
  report(`The description of its ${what} was too large: ${left[pruned]} (${bytes} bytes now).`);
}

/** Equal ones are one object: most of them stand in very many operations. */
function planParameter(parameter: NamedParameter, plans: Map<string, ParameterPlan>): ParameterPlan {
  const { argument, name, in: location, isRequired, style, explode, allowReserved, allowEmptyValue, contentType } = parameter;
  const key = `${argument}\n${name}\n${location}${isRequired}${style}${explode}${allowReserved}${allowEmptyValue}`;
  const known = contentType === undefined ? plans.get(key) : undefined;
  if (known !== undefined) return known;
  const plan: ParameterPlan = {
    argument,
    name,
    in: location,
    isRequired,
    style,
    explode,
    allowReserved,
    allowEmptyValue,
    contentType,
    default: undefined,
  };
  if (contentType === undefined) plans.set(key, plan);
  return plan;
}
