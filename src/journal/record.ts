import type { ContentHit } from '../content/screen.ts';
import type { Lost, Spent } from '../models/spent.ts';

/** What is known of a call before its upstream hears of it, or when it is refused. Texts longer than 256 characters are cut, principals never. */
export interface CallFacts {
  /** What its client knows the call by, unique; where there is nothing, it gets a number. */
  readonly call?: string | undefined;
  /** `key:<id>`, `local:<user>`, ... */
  readonly principal: string;
  readonly key?: string | undefined;
  readonly consumer?: string | undefined;
  readonly member?: string | undefined;
  readonly door: string;
  readonly toolbox: string;
  readonly method: string;
  /** `namespace/name`; absent when nothing was found for the call. */
  readonly capability?: string | undefined;
  readonly upstream?: string | undefined;
  /** Hash of the definition that the call was judged by. */
  readonly definition?: string | undefined;
  /** `Journal.digest` of the canonical arguments; the arguments themselves are not on record. */
  readonly argumentsDigest?: string | undefined;
  readonly argumentsBytes?: number | undefined;
  readonly decision: 'allow' | 'deny';
  /** What decided: `allow` where a rule of a policy had to let the call pass, `default` where there is none; of a refusal its code. */
  readonly rule?: string | undefined;
  /** The request for a person's consent that it went by, waits for or was denied by. */
  readonly approval?: string | undefined;
  /** 32 hex digits. */
  readonly trace?: string | undefined;
}

/** What became of a call. */
export interface CallResult {
  readonly outcome: 'done' | 'input-required' | 'upstream-error' | 'refused' | 'failed';
  /** A row of the table in errors.ts. */
  readonly code?: string | undefined;
  /** JSON-RPC code of the upstream's error. */
  readonly rpcCode?: number | undefined;
  /** From the ask to its outcome, ms. */
  readonly ms: number;
  readonly bytesIn?: number | undefined;
  readonly bytesOut?: number | undefined;
  /** Names of the content rules that matched; the first 16 are kept. */
  readonly contentRules?: readonly string[] | undefined;
  /** What matched where, and what was done; the first 16 are kept. Nothing of the text itself. */
  readonly contentHits?: readonly ContentHit[] | undefined;
  /** Of a model's call. */
  readonly spent?: Spent | undefined;
}

/** Something about the gateway itself that was changed. */
export interface ChangeFacts {
  readonly principal: string;
  readonly key?: string | undefined;
  readonly member?: string | undefined;
  readonly door: string;
  /** `create-key`, `disable-upstream`, ... */
  readonly action: string;
  /** What it was done to: `key/ci`, `upstream/support/crm`, ... */
  readonly object: string;
  /** Digests of the object; absent when there was none. */
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  readonly approval?: string | undefined;
  readonly trace?: string | undefined;
}

const textLimit = 256;
/** As long as one can be: cut off, two people would be one. */
const principalLimit = 512;
const contentRulesLimit = 16;
const plain = /^[ !#-[\]-~]{0,256}$/;

/** A JSON string of printable ASCII alone, so that no line end, escape sequence or lookalike of anybody's gets into a record. */
export function quote(text: string, limit = textLimit): string {
  if (plain.test(text)) return `"${text}"`;
  const short = text.length <= limit ? text : `${text.slice(0, limit - 3)}...`;
  return JSON.stringify(short).replace(/[\u007f-\uffff]/g, escapeUnit);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function textField(name: string, text: string | undefined): string {
  return text === undefined ? '' : `,"${name}":${quote(text)}`;
}

function numberField(name: string, value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '' : `,"${name}":${value}`;
}

/** The fields that the intent and the outcome of a call share. */
export function callFields(call: string, facts: CallFacts): string {
  return (
    `,"call":"${call}","principal":${quote(facts.principal, principalLimit)}` +
    textField('key', facts.key) +
    textField('consumer', facts.consumer) +
    textField('member', facts.member) +
    `,"door":${quote(facts.door)},"toolbox":${quote(facts.toolbox)},"method":${quote(facts.method)}` +
    textField('capability', facts.capability) +
    textField('upstream', facts.upstream) +
    textField('definition', facts.definition) +
    textField('argumentsDigest', facts.argumentsDigest) +
    numberField('argumentsBytes', facts.argumentsBytes) +
    `,"decision":"${facts.decision === 'allow' ? 'allow' : 'deny'}"` +
    textField('rule', facts.rule) +
    textField('approval', facts.approval) +
    textField('trace', facts.trace)
  );
}

export function resultFields(result: CallResult): string {
  return (
    `,"outcome":${quote(result.outcome)}` +
    textField('code', result.code) +
    numberField('rpcCode', result.rpcCode) +
    `,"ms":${Number.isFinite(result.ms) ? Math.round(result.ms * 100) / 100 : 0}` +
    numberField('bytesIn', result.bytesIn) +
    numberField('bytesOut', result.bytesOut) +
    listField('contentRules', result.contentRules) +
    hitsField(result.contentHits) +
    (result.spent === undefined ? '' : spentFields(result.spent))
  );
}

function spentFields(spent: Spent): string {
  const { target, provider, model, usage, isEstimated, isCorrected, nanoUsd, finish, cache, failovers, lost = [] } = spent;
  return (
    `,"target":${quote(target)},"provider":${quote(provider)},"model":${quote(model)}` +
    numberField('tokensIn', usage.input) +
    numberField('tokensOut', usage.output) +
    (isEstimated ? ',"isEstimated":true' : '') +
    (isCorrected === true ? ',"isCorrected":true' : '') +
    numberField('nanoUsd', nanoUsd) +
    textField('finish', finish) +
    textField('cache', cache) +
    numberField('failovers', failovers === 0 ? undefined : failovers) +
    (lost.length === 0 ? '' : `,"lost":[${lost.map(lostFields).join(',')}]`)
  );
}

function lostFields({ target, usage, isEstimated, isCorrected, nanoUsd }: Lost): string {
  return (
    `{"target":${quote(target)}` +
    numberField('tokensIn', usage.input) +
    numberField('tokensOut', usage.output) +
    (isEstimated ? ',"isEstimated":true' : '') +
    (isCorrected === true ? ',"isCorrected":true' : '') +
    numberField('nanoUsd', nanoUsd) +
    '}'
  );
}

export function changeFields(facts: ChangeFacts): string {
  return (
    `,"principal":${quote(facts.principal, principalLimit)}` +
    textField('key', facts.key) +
    textField('member', facts.member) +
    `,"door":${quote(facts.door)},"action":${quote(facts.action)},"object":${quote(facts.object)}` +
    textField('before', facts.before) +
    textField('after', facts.after) +
    textField('approval', facts.approval) +
    textField('trace', facts.trace)
  );
}

function hitsField(hits: readonly ContentHit[] = []): string {
  return hits.length === 0 ? '' : `,"contentHits":[${hits.slice(0, contentRulesLimit).map(hitFields).join(',')}]`;
}

function hitFields({ ruleId, severity, direction, action, pointer, count }: ContentHit): string {
  return (
    `{"rule":${quote(ruleId)},"severity":"${severity}","direction":"${direction}","action":"${action}","at":${quote(pointer)}` +
    `${numberField('count', count)}}`
  );
}

function listField(name: string, texts: readonly string[] | undefined): string {
  if (texts === undefined || texts.length === 0) return '';
  return `,"${name}":[${texts.slice(0, contentRulesLimit).map(quote).join(',')}]`;
}
