/** Looking into what a caller sent: own members only, since a prototype is nothing that was sent. Faults never name a value. */
import type { Run } from './rule-run.ts';
import { Fault, fromJson, isEqual, isList, isMap, isNumber, type Value } from './rule-value.ts';

export function readMember(value: Value, member: string, at: number): Value {
  if (!isMap(value) || !Object.hasOwn(value, member)) return new Fault(`There is no "${member}"`, at);
  return fromJson(value[member] ?? null, at);
}

export function readIndex(from: Value, key: Value, at: number): Value {
  if (isList(from)) {
    const index = isNumber(key) ? Number(key) : -1;
    const item = Number.isInteger(index) && index >= 0 ? from[index] : undefined;
    return item === undefined ? new Fault('There is no such place in the list', at) : fromJson(item, at);
  }
  if (!isMap(from) || typeof key !== 'string' || !Object.hasOwn(from, key)) return new Fault('There is no such member', at);
  return fromJson(from[key] ?? null, at);
}

export function isIn(run: Run, item: Value, group: Value, at: number): Value {
  if (isList(group)) return group.some((other) => isEqual(run, item, fromJson(other, at)));
  if (isMap(group)) return typeof item === 'string' && Object.hasOwn(group, item);
  return new Fault('"in" looks into lists and maps only', at);
}
