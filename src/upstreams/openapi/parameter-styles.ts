/** How a parameter is written (OpenAPI 3.1 section 4.8.12.2), and what Swagger 2.0 calls it. */
import type { Json, JsonObject } from '../../wire/json.ts';
import type { ParameterPlan } from './conversion.ts';

export type ParameterLocation = ParameterPlan['in'];
type ParameterStyle = ParameterPlan['style'];

const styles: Readonly<Record<ParameterLocation, readonly ParameterStyle[]>> = {
  path: ['simple', 'matrix', 'label'],
  query: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'],
  querystring: ['form'],
  header: ['simple'],
  cookie: ['form', 'cookie'],
};

export function isLocation(value: Json | undefined): value is ParameterLocation {
  return typeof value === 'string' && Object.hasOwn(styles, value);
}

export interface WritingStyle {
  readonly style: ParameterStyle;
  readonly explode: boolean;
  /** The style that the document has and that cannot be used there. */
  readonly refused: string | undefined;
}

export function readStyle(raw: JsonObject, location: ParameterLocation): WritingStyle {
  const allowed = styles[location];
  const wanted = allowed.find((style) => style === raw.style);
  const style = wanted ?? allowed[0] ?? 'simple';
  const refused = raw.style !== undefined && wanted === undefined ? String(raw.style).slice(0, 50) : undefined;
  const explode =
    typeof raw.explode === 'boolean' ? raw.explode : style === 'form' || style === 'cookie' || style === 'deepObject';
  return { style, explode, refused };
}

/** Swagger 2.0 `collectionFormat`; `csv` where there is none. */
export function readCollectionFormat(format: Json | undefined, location: ParameterLocation): WritingStyle {
  const plain = styles[location][0] ?? 'simple';
  const isQuery = location === 'query';
  if (format === 'multi' && isQuery) return { style: 'form', explode: true, refused: undefined };
  if (format === 'ssv' && isQuery) return { style: 'spaceDelimited', explode: false, refused: undefined };
  if (format === 'pipes' && isQuery) return { style: 'pipeDelimited', explode: false, refused: undefined };
  const refused = format === undefined || format === 'csv' ? undefined : String(format).slice(0, 50);
  return { style: plain, explode: false, refused };
}
