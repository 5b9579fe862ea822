import type { JsonObject } from '../../wire/json.ts';
import type { ToolDefinition } from '../upstream.ts';

/**
 * What an API description comes to: a tool per operation, and how a call of it becomes a request. Plain data, as it is
 * made in a worker and kept between starts. Words are those of OpenAPI 3.1; older and newer formats are read into them.
 */
export interface Conversion {
  readonly title: string;
  readonly version: string;
  readonly description: string | undefined;
  /** As the document says, e.g. `2.0`, `3.0.3`, `3.2.0`. */
  readonly format: string;
  /** Where the document says that the API is, variables filled in with their defaults; may be relative. */
  readonly servers: readonly string[];
  readonly securitySchemes: Readonly<Record<string, SecurityScheme>>;
  /** In the order of the document. */
  readonly operations: readonly Operation[];
  /** What was left out or changed, and why. */
  readonly problems: readonly ConversionProblem[];
}

export interface ConversionProblem {
  /** `lost`: no tool for this operation. `changed`: a tool, but not all of what the document says. */
  readonly kind: 'lost' | 'changed';
  /** `GET /pets/{id}`, or empty where it is about the document. */
  readonly operation: string;
  /** JSON pointer into the document as it was read. */
  readonly pointer: string;
  readonly message: string;
}

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'TRACE' | 'QUERY';

export interface Operation {
  /** `METHOD /path/{template}`: its identity over versions of the description. */
  readonly id: string;
  readonly method: HttpMethod;
  /** As in the document, e.g. `/pets/{petId}`. */
  readonly path: string;
  readonly operationId: string | undefined;
  readonly tags: readonly string[];
  /** Its name is unique in the conversion, `[a-zA-Z0-9_-]`, at most 64 characters, and the same each time. */
  readonly tool: ToolDefinition;
  readonly request: RequestPlan;
  readonly answer: AnswerPlan;
  /** Alternatives, each a set of schemes (by name) with the scopes it needs; empty: none needed; an empty set among them: optional. */
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  /** Worked examples of the document, for the documentation: arguments as the tool takes them. */
  readonly examples: readonly { readonly summary: string | undefined; readonly arguments: JsonObject }[];
}

interface RequestPlan {
  /** Where the operation or its path names a server of its own. */
  readonly server: string | undefined;
  readonly parameters: readonly ParameterPlan[];
  readonly body: BodyPlan | undefined;
}

export interface ParameterPlan {
  /** The property of the tool's arguments it is taken from. */
  readonly argument: string;
  /** Its name in the request. */
  readonly name: string;
  /** `querystring` (OpenAPI 3.2): the whole query, as its content type says. */
  readonly in: 'path' | 'query' | 'querystring' | 'header' | 'cookie';
  readonly isRequired: boolean;
  readonly style: 'matrix' | 'label' | 'simple' | 'form' | 'spaceDelimited' | 'pipeDelimited' | 'deepObject' | 'cookie';
  readonly explode: boolean;
  readonly allowReserved: boolean;
  readonly allowEmptyValue: boolean;
  /** Set where its value is written as this media type (`content`) rather than by style. */
  readonly contentType: string | undefined;
  /** Sent where the caller gives none: from the import's `defaults`, never from the document. */
  readonly default: unknown;
}

export interface BodyPlan {
  /** The property of the tool's arguments that holds the whole body. */
  readonly argument: string;
  readonly isRequired: boolean;
  readonly contentType: string;
  /**
   * `json`: the argument as JSON. `form`: `application/x-www-form-urlencoded`. `multipart`: a part per property.
   * `text`: a string as it is (XML and the like, too). `binary`: a file, `{ data: base64, filename?, contentType? }`.
   */
  readonly encoding: 'json' | 'form' | 'multipart' | 'text' | 'binary';
  /** How properties of `form` and `multipart` bodies are written, where not as usual. */
  readonly properties: Readonly<Record<string, PropertyPlan>>;
}

export interface PropertyPlan {
  readonly contentType: string | undefined;
  /** A file, or a list of files: each written so. */
  readonly isFile: boolean;
  readonly style: ParameterPlan['style'] | undefined;
  readonly explode: boolean | undefined;
  readonly allowReserved: boolean;
}

interface AnswerPlan {
  /** Media types of success, the preferred one first: becomes `Accept`. */
  readonly accept: readonly string[];
  /** The tool's `outputSchema` describes `{ result: <answer> }`, as the answer itself is no object. */
  readonly isWrapped: boolean;
}

export type SecurityScheme =
  | { readonly kind: 'apiKey'; readonly in: 'query' | 'header' | 'cookie'; readonly name: string }
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer' }
  | { readonly kind: 'oauth2'; readonly flows: Readonly<Record<string, OAuthFlow>> }
  | { readonly kind: 'openIdConnect'; readonly url: string }
  /** HTTP schemes and kinds that Gatehouse cannot speak; `what` names it. */
  | { readonly kind: 'other'; readonly what: string };

export interface OAuthFlow {
  readonly authorizationUrl: string | undefined;
  readonly tokenUrl: string | undefined;
  readonly scopes: readonly string[];
}
