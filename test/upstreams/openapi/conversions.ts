import type {
  BodyPlan,
  Conversion,
  HttpMethod,
  Operation,
  ParameterPlan,
  SecurityScheme,
} from '../../../src/upstreams/openapi/conversion.ts';
import type { JsonObject } from '../../../src/wire/json.ts';

/** A conversion with these operations, as the converter would make it. */
export function conversionOf(operations: readonly Operation[], more: Partial<Conversion> = {}): Conversion {
  return {
    title: 'Pets',
    version: '1.0.0',
    description: undefined,
    format: '3.1.0',
    servers: ['https://api.example.com/v1'],
    securitySchemes: {},
    operations,
    problems: [],
    ...more,
  };
}

interface Draft {
  readonly parameters?: readonly ParameterPlan[];
  readonly body?: BodyPlan;
  readonly outputSchema?: JsonObject;
  readonly isWrapped?: boolean;
  readonly security?: Operation['security'];
  readonly tags?: readonly string[];
  readonly server?: string;
}

/** `operation('GET /pets/{id}', 'getPet', ...)`. */
export function operation(id: string, name: string, draft: Draft = {}): Operation {
  const { parameters = [], body, outputSchema, isWrapped = false, security = [], tags = [], server } = draft;
  const [method = '', path = ''] = id.split(' ');
  const inputs = [...parameters, ...(body === undefined ? [] : [body])];
  return {
    id,
    method: method as HttpMethod,
    path,
    operationId: name,
    tags,
    tool: {
      name,
      description: name,
      inputSchema: {
        type: 'object',
        properties: Object.fromEntries(inputs.map(({ argument }) => [argument, {}])),
        required: inputs.filter(({ isRequired }) => isRequired).map(({ argument }) => argument),
        additionalProperties: false,
      },
      ...(outputSchema === undefined ? {} : { outputSchema }),
    },
    request: { server, parameters, body },
    answer: { accept: ['application/json'], isWrapped },
    security,
    examples: [],
  };
}

const styles = { path: 'simple', query: 'form', header: 'simple', cookie: 'form', querystring: 'form' } as const;

/** A parameter with the defaults of OpenAPI. */
export function parameter(place: ParameterPlan['in'], name: string, more: Partial<ParameterPlan> = {}): ParameterPlan {
  const style = more.style ?? styles[place];
  return {
    argument: name,
    name,
    in: place,
    isRequired: place === 'path',
    style,
    explode: style === 'form' || style === 'deepObject' || style === 'cookie',
    allowReserved: false,
    allowEmptyValue: false,
    contentType: undefined,
    default: undefined,
    ...more,
  };
}

export function body(encoding: BodyPlan['encoding'], contentType: string, more: Partial<BodyPlan> = {}): BodyPlan {
  return { argument: 'body', isRequired: true, contentType, encoding, properties: {}, ...more };
}

export const schemes = {
  headerKey: { kind: 'apiKey', in: 'header', name: 'X-Api-Key' },
  queryKey: { kind: 'apiKey', in: 'query', name: 'api_key' },
  cookieKey: { kind: 'apiKey', in: 'cookie', name: 'session' },
  basic: { kind: 'basic' },
  bearer: { kind: 'bearer' },
  oauth: { kind: 'oauth2', flows: {} },
  digest: { kind: 'other', what: 'HTTP digest' },
} as const satisfies Readonly<Record<string, SecurityScheme>>;
