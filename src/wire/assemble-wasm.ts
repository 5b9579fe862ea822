/**
 * Assembles the subset of the WebAssembly text format that `bulk-program.ts` is written in (WebAssembly core specification 2.0, sections
 * 5 and 6, folded expressions only): one memory, one exported function, locals by name. It runs once, in a millisecond, where it is
 * needed; a binary in the repository could not be read by whoever reviews it.
 */
export function assembleWasm({ params, locals, pages, body }: WasmFunction): Uint8Array<ArrayBuffer> {
  const names = [...params, ...Object.keys(locals)];
  const scope: Scope = { local: (name) => indexIn(names, name), labels: [] };
  const code = parse(body).flatMap((expression) => emit(expression, scope));
  const declared = Object.values(locals).flatMap((type) => [1, types[type]]);
  const entry = [...leb(Object.keys(locals).length), ...declared, ...code, 0x0b];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, params.length, ...params.map(() => types.i32), 1, types.i32]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, pages]),
    ...section(7, [2, ...text('memory'), 2, 0, ...text('run'), 0, 0]),
    ...section(10, [1, ...leb(entry.length), ...entry]),
  ]);
}

interface WasmFunction {
  /** All are i32, and so is what it returns. */
  readonly params: readonly string[];
  readonly locals: Readonly<Record<string, 'i32' | 'i64' | 'v128'>>;
  /** Size of the memory, in pages of 64 KiB. */
  readonly pages: number;
  readonly body: string;
}

const types = { i32: 0x7f, i64: 0x7e, v128: 0x7b } as const;

type Expression = string | readonly Expression[];

interface Scope {
  local(name: string): number;
  /** Of the blocks around, innermost first. */
  readonly labels: readonly string[];
}

/** Instructions that take operands and nothing else. */
const plain: Readonly<Record<string, readonly number[]>> = {
  return: [0x0f],
  'i32.eqz': [0x45],
  'i32.eq': [0x46],
  'i32.ne': [0x47],
  'i32.lt_s': [0x48],
  'i32.gt_s': [0x4a],
  'i32.le_s': [0x4c],
  'i32.ge_s': [0x4e],
  'i64.eqz': [0x50],
  'i64.ne': [0x52],
  'i64.lt_u': [0x54],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.and': [0x71],
  'i32.or': [0x72],
  'i32.shl': [0x74],
  'i64.ctz': [0x7a],
  'i64.add': [0x7c],
  'i64.sub': [0x7d],
  'i64.and': [0x83],
  'i64.or': [0x84],
  'i64.xor': [0x85],
  'i64.shl': [0x86],
  'i64.shr_s': [0x87],
  'i64.shr_u': [0x88],
  'i32.wrap_i64': [0xa7],
  'i64.extend_i32_s': [0xac],
  'i64.extend_i32_u': [0xad],
  'i8x16.swizzle': [0xfd, 0x0e],
  'i8x16.splat': [0xfd, 0x0f],
  'i8x16.eq': [0xfd, 0x23],
  'i8x16.ne': [0xfd, 0x24],
  'i8x16.lt_u': [0xfd, 0x26],
  'i8x16.shr_u': [0xfd, 0x6d],
  'i8x16.sub': [0xfd, 0x71],
  'i8x16.bitmask': [0xfd, 0x64],
  'v128.and': [0xfd, 0x4e],
  'v128.or': [0xfd, 0x50],
};

/** Instructions with an alignment and an offset. */
const memory: Readonly<Record<string, readonly number[]>> = {
  'i32.load': [0x28, 2],
  'i64.load': [0x29, 3],
  'i32.load8_u': [0x2d, 0],
  'i32.store': [0x36, 2],
  'i64.store': [0x37, 3],
  'i32.store8': [0x3a, 0],
  'v128.load': [0xfd, 0x00, 4],
};

function emit(expression: Expression, scope: Scope): number[] {
  if (typeof expression === 'string') throw new SyntaxError(`an instruction stands in parentheses: ${expression}`);
  const [name, ...rest] = expression;
  if (typeof name !== 'string') throw new SyntaxError('an instruction begins with its name');
  const operands = (from: number) => rest.slice(from).flatMap((operand) => emit(operand, scope));
  const word = String(rest[0]);
  switch (name) {
    case 'local.get':
      return [0x20, ...leb(scope.local(word))];
    case 'local.set':
      return [...operands(1), 0x21, ...leb(scope.local(word))];
    case 'i32.const':
      return [0x41, ...signedLeb(BigInt(word))];
    case 'i64.const':
      return [0x42, ...signedLeb(BigInt.asIntN(64, BigInt(word)))];
    case 'v128.const':
      return [0xfd, 0x0c, ...rest.map(Number)];
    case 'block':
    case 'loop':
      return [name === 'block' ? 0x02 : 0x03, 0x40, ...inside(rest.slice(1), scope, word), 0x0b];
    case 'br':
      return [0x0c, ...leb(indexIn(scope.labels, word))];
    case 'br_if':
      return [...operands(1), 0x0d, ...leb(indexIn(scope.labels, word))];
    case 'if':
      return emitIf(rest, scope);
  }
  const code = plain[name];
  if (code !== undefined) return [...operands(0), ...code];
  const access = memory[name];
  if (access === undefined) throw new SyntaxError(`unknown instruction ${name}`);
  return [...operands(1), ...access, ...leb(Number(word))];
}

/** `(if (condition) (then ...) (else ...))` */
function emitIf([condition, yes, no]: readonly Expression[], scope: Scope): number[] {
  const branch = (of: Expression | undefined) => inside(Array.isArray(of) ? of.slice(1) : [], scope, '');
  const otherwise = no === undefined ? [] : [0x05, ...branch(no)];
  return [...emit(condition ?? '', scope), 0x04, 0x40, ...branch(yes), ...otherwise, 0x0b];
}

function inside(body: readonly Expression[], scope: Scope, label: string): number[] {
  const inner = { ...scope, labels: [label, ...scope.labels] };
  return body.flatMap((expression) => emit(expression, inner));
}

function parse(source: string): Expression[] {
  const open: Expression[][] = [[]];
  for (const token of source.replaceAll(/;;.*/g, '').match(/[()]|[^\s()]+/g) ?? []) {
    if (token === '(') open.push([]);
    else if (token !== ')') open.at(-1)?.push(token);
    else {
      const done = open.pop();
      if (done === undefined || open.length === 0) throw new SyntaxError('a parenthesis closes nothing');
      open.at(-1)?.push(done);
    }
  }
  const [top] = open;
  if (top === undefined || open.length !== 1) throw new SyntaxError('a parenthesis is not closed');
  return top;
}

function indexIn(names: readonly string[], name: string): number {
  const index = names.indexOf(name);
  if (index < 0) throw new SyntaxError(`nothing here is called ${name}`);
  return index;
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...leb(content.length), ...content];
}

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value)];
}

/** LEB128 (core specification, section 5.2.2). */
function leb(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...leb(value >>> 7)];
}

function signedLeb(value: bigint): number[] {
  const low = Number(BigInt.asUintN(7, value));
  const rest = value >> 7n;
  const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
  return isLast ? [low] : [low | 0x80, ...signedLeb(rest)];
}
