/** Which format a document is in. Refuses what is no API description, by the name of what it is. */
import { isObject, type JsonObject } from '../../wire/json.ts';
import { refuse } from './check-size.ts';
import type { ProblemList } from './problem-list.ts';

export interface DocumentFormat {
  /** As the document says. */
  readonly version: string;
  /** How it is read: 3.2 has everything that 3.1 has. */
  readonly family: '2.0' | '3.0' | '3.1';
}

const whatElse: readonly (readonly [string, string])[] = [
  ['asyncapi', 'an AsyncAPI document, which describes messages, not requests'],
  ['arazzo', 'an Arazzo document; give the description of the API it works on'],
  ['overlay', 'an OpenAPI overlay; apply it first'],
  ['swaggerVersion', 'of Swagger 1.x, which is no longer read; convert it to 2.0 or newer'],
  ['$schema', 'a JSON Schema, not an API description'],
  ['resources', 'no OpenAPI document'],
];

/** Throws GatewayError `bad_description`. */
export function identifyFormat(document: JsonObject, problems: ProblemList): DocumentFormat {
  const { swagger, openapi } = document;
  // Without quotes, YAML makes numbers of them.
  const version = String(openapi ?? (swagger === 2 ? '2.0' : (swagger ?? ''))).trim();
  if (openapi === undefined && swagger === undefined) throw refuse(describeUnknown(document));
  if (openapi === undefined) {
    if (version !== '2.0') throw refuse(`says "swagger: ${version.slice(0, 20)}"; 2.0 is read, and OpenAPI 3.0 to 3.2.`);
    return { version, family: '2.0' };
  }
  const minor = /^3\.(\d+)(?:\.|$)/.exec(version)?.[1];
  if (minor === undefined) throw refuse(`says "openapi: ${version.slice(0, 20)}"; 3.0 to 3.2 are read, and Swagger 2.0.`);
  if (Number(minor) > 2) problems.add('changed', '', '/openapi', `OpenAPI ${version} is read as if it were 3.2.`);
  return { version, family: minor === '0' ? '3.0' : '3.1' };
}

function describeUnknown(document: JsonObject): string {
  if (isObject(document.info) && document.info._postman_id !== undefined)
    return 'is a Postman collection; export it as OpenAPI first.';
  const known = whatElse.find(([key]) => Object.hasOwn(document, key));
  return known === undefined
    ? 'has neither "openapi" nor "swagger" at its top, so that nothing says what it is.'
    : `is ${known[1]}.`;
}
