/** Where a document says that its API is. Who imports it decides; this is only what is proposed. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { DocumentFormat } from './document-format.ts';
import { stringsIn } from './text.ts';

const longestUrl = 2_000;

export function readServers(
  document: JsonObject,
  family: DocumentFormat['family'],
  report: (pointer: string, message: string) => void,
): string[] {
  return family === '2.0' ? swaggerServers(document) : serversIn(document.servers, '/servers', report);
}

/** Variables are filled in with their defaults; what is not on the web is left out. */
export function serversIn(
  servers: Json | undefined,
  pointer: string,
  report: (pointer: string, message: string) => void,
): string[] {
  if (!Array.isArray(servers)) return [];
  return servers.flatMap((server, index) => {
    if (!isObject(server) || typeof server.url !== 'string') return [];
    const url = fillIn(server.url.trim(), server.variables);
    if (isUsable(url)) return [url];
    report(`${pointer}/${index}`, 'The address of this server is not one of the web; it is left out.');
    return [];
  });
}

function fillIn(template: string, variables: Json | undefined): string {
  return template.replaceAll(/\{([^{}]*)\}/g, (whole, name: string) => {
    const variable = isObject(variables) && Object.hasOwn(variables, name) ? variables[name] : undefined;
    const fallback = isObject(variable)
      ? (variable.default ?? (Array.isArray(variable.enum) ? variable.enum[0] : undefined))
      : undefined;
    return typeof fallback === 'string' || typeof fallback === 'number' ? String(fallback) : whole;
  });
}

function isUsable(url: string): boolean {
  if (url.length > longestUrl || /[\p{Cc}\s]/u.test(url)) return false;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  return scheme === undefined || scheme === 'https' || scheme === 'http' || scheme.includes('.');
}

function swaggerServers({ host, basePath, schemes }: JsonObject): string[] {
  const path = typeof basePath === 'string' ? basePath : '';
  if (typeof host !== 'string' || !/^[^\s/?#@]+$/.test(host)) return path === '' || !isUsable(path) ? [] : [path];
  const known = stringsIn(schemes).filter((scheme) => scheme === 'https' || scheme === 'http');
  const order = known.length === 0 ? ['https'] : known.sort().reverse();
  return order.map((scheme) => `${scheme}://${host}${path}`).filter(isUsable);
}
