/** What an API wants to see of its callers. None of it is ever an argument. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { OAuthFlow, Operation, SecurityScheme } from './conversion.ts';
import type { DocumentFormat } from './document-format.ts';
import { childOf, type Place, type References } from './references.ts';
import { stringsIn, textOf } from './text.ts';

type Report = (pointer: string, message: string) => void;

export function readSecuritySchemes(
  document: JsonObject,
  family: DocumentFormat['family'],
  references: References,
  report: Report,
): Readonly<Record<string, SecurityScheme>> {
  const components = isObject(document.components) ? document.components : {};
  const [pointer, schemes] =
    family === '2.0'
      ? (['/securityDefinitions', document.securityDefinitions] as const)
      : (['/components/securitySchemes', components.securitySchemes] as const);
  if (!isObject(schemes)) return {};
  const list: Place = { url: '', pointer, value: schemes };
  const entries = Object.entries(schemes).flatMap(([name, value]) => {
    const at = childOf(list, name, value);
    const followed = references.follow(at);
    const scheme = followed.kind === 'found' && isObject(followed.place.value) ? readScheme(followed.place.value) : undefined;
    if (scheme === undefined) report(at.pointer, `Nothing says what the security scheme "${name}" is; it is left out.`);
    return scheme === undefined ? [] : [[name, scheme] as const];
  });
  return Object.fromEntries(entries);
}

function readScheme(raw: JsonObject): SecurityScheme | undefined {
  const type = String(raw.type);
  switch (type) {
    case 'apiKey':
      return readApiKey(raw);
    case 'basic':
      return { kind: 'basic' };
    case 'http':
      return readHttpScheme(textOf(raw.scheme) ?? '');
    case 'oauth2':
      return { kind: 'oauth2', flows: readFlows(raw) };
    case 'openIdConnect':
      return { kind: 'openIdConnect', url: textOf(raw.openIdConnectUrl) ?? '' };
    default:
      return raw.type === undefined ? undefined : { kind: 'other', what: type.slice(0, 100) };
  }
}

function readApiKey({ in: location, name }: JsonObject): SecurityScheme | undefined {
  if (typeof name !== 'string' || name === '') return undefined;
  if (location !== 'query' && location !== 'header' && location !== 'cookie') return undefined;
  return { kind: 'apiKey', in: location, name };
}

function readHttpScheme(scheme: string): SecurityScheme {
  const lower = scheme.toLowerCase();
  if (lower === 'basic' || lower === 'bearer') return { kind: lower };
  return { kind: 'other', what: `http ${scheme}`.slice(0, 100) };
}

/** Swagger 2.0 has one flow, and other names for two. */
const swaggerFlows: Readonly<Record<string, string>> = { application: 'clientCredentials', accessCode: 'authorizationCode' };

function readFlows(raw: JsonObject): Readonly<Record<string, OAuthFlow>> {
  if (typeof raw.flow === 'string') return { [swaggerFlows[raw.flow] ?? raw.flow]: readFlow(raw) };
  if (!isObject(raw.flows)) return {};
  return Object.fromEntries(
    Object.entries(raw.flows).flatMap(([name, flow]) =>
      isObject(flow) && !name.startsWith('x-') ? [[name, readFlow(flow)]] : [],
    ),
  );
}

function readFlow({ authorizationUrl, tokenUrl, scopes }: JsonObject): OAuthFlow {
  return {
    authorizationUrl: textOf(authorizationUrl),
    tokenUrl: textOf(tokenUrl),
    scopes: isObject(scopes) ? Object.keys(scopes).filter((scope) => !scope.startsWith('x-')) : [],
  };
}

/** The operation's own alternatives, or those of the document. */
export function readSecurity(
  own: Json | undefined,
  shared: Json | undefined,
  schemes: Readonly<Record<string, SecurityScheme>>,
  report: (message: string) => void,
): Operation['security'] {
  const alternatives = Array.isArray(own) ? own : Array.isArray(shared) ? shared : [];
  return alternatives.filter(isObject).map((alternative) => {
    const names = Object.keys(alternative);
    const unknown = names.find((name) => !Object.hasOwn(schemes, name));
    // It stays: without it, the operation would look as if it needed nothing.
    if (unknown !== undefined) report(`The security scheme "${unknown}" is not described; what needs it cannot be used.`);
    return Object.fromEntries(names.map((name) => [name, stringsIn(alternative[name])]));
  });
}
