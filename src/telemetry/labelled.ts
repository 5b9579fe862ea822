/** Stands for every name beyond the limit; no name of a namespace, upstream or capability looks like it. */
export const others = '(other)';
/** Stands for no name: the call was refused before one was found. */
export const none = '(none)';

const labelLimit = 100;

/**
 * One value per name, for a bounded number of names: what comes after them shares one value, so that totals stay right however
 * many names there are. A look-up of a known name is one map access.
 */
export class Labelled<Value> {
  readonly #byLabel = new Map<string, Value>();
  readonly #limit: number;
  readonly #make: (label: string) => Value;
  #overflow: Value | undefined;

  constructor(limit: number, make: (label: string) => Value) {
    this.#limit = limit;
    this.#make = make;
  }

  of(name: string): Value {
    return this.#byLabel.get(name) ?? this.#add(toLabel(name));
  }

  get size(): number {
    return this.#byLabel.size + (this.#overflow === undefined ? 0 : 1);
  }

  *values(): Iterable<Value> {
    yield* this.#byLabel.values();
    if (this.#overflow !== undefined) yield this.#overflow;
  }

  #add(label: string): Value {
    const known = this.#byLabel.get(label);
    if (known !== undefined) return known;
    if (this.#byLabel.size >= this.#limit) {
      this.#overflow ??= this.#make(others);
      return this.#overflow;
    }
    const made = this.#make(label);
    this.#byLabel.set(label, made);
    return made;
  }
}

/** A name as it may stand in a label: short, without what could break a line or come back from UTF-8 as something else. */
export function toLabel(name: string): string {
  const label = name
    .slice(0, labelLimit)
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '_');
  // A label set that appears twice spoils the whole scrape.
  return label === others ? '_other_' : label;
}
