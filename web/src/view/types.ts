//! Field types and the typed arrays that hold them. Bytes are little-endian, as every browser's typed arrays are.

/** A field's type, as layouts name it. */
export type ScalarType =
  | "f32" | "f64" | "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "bool" | "entity"
  | "f16" | "bf16" | "unorm8" | "unorm16" | "snorm8" | "snorm16";

/** An array of plain numbers. */
export type NumberArray =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array;

/** An array of 64-bit integers, which plain numbers cannot hold. */
export type BigArray = BigInt64Array | BigUint64Array;

/** What a column's bytes are seen as. */
export type ColumnArray = NumberArray | BigArray;

/** One value: 64-bit integers and handles are bigints, bools are booleans, small numbers are what they stand for. */
export type Scalar = number | bigint | boolean;

interface Kind {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly make: (buffer: ArrayBufferLike, offset: number, length: number) => ColumnArray;
}

const KINDS: Readonly<Record<ScalarType, Kind>> = {
  f32: { bytes: 4, make: (b, o, n) => new Float32Array(b, o, n) },
  f64: { bytes: 8, make: (b, o, n) => new Float64Array(b, o, n) },
  i8: { bytes: 1, make: (b, o, n) => new Int8Array(b, o, n) },
  i16: { bytes: 2, make: (b, o, n) => new Int16Array(b, o, n) },
  i32: { bytes: 4, make: (b, o, n) => new Int32Array(b, o, n) },
  i64: { bytes: 8, make: (b, o, n) => new BigInt64Array(b, o, n) },
  u8: { bytes: 1, make: (b, o, n) => new Uint8Array(b, o, n) },
  u16: { bytes: 2, make: (b, o, n) => new Uint16Array(b, o, n) },
  u32: { bytes: 4, make: (b, o, n) => new Uint32Array(b, o, n) },
  u64: { bytes: 8, make: (b, o, n) => new BigUint64Array(b, o, n) },
  bool: { bytes: 1, make: (b, o, n) => new Uint8Array(b, o, n) },
  entity: { bytes: 8, make: (b, o, n) => new BigUint64Array(b, o, n) },
  f16: { bytes: 2, make: (b, o, n) => new Uint16Array(b, o, n) },
  bf16: { bytes: 2, make: (b, o, n) => new Uint16Array(b, o, n) },
  unorm8: { bytes: 1, make: (b, o, n) => new Uint8Array(b, o, n) },
  unorm16: { bytes: 2, make: (b, o, n) => new Uint16Array(b, o, n) },
  snorm8: { bytes: 1, make: (b, o, n) => new Int8Array(b, o, n) },
  snorm16: { bytes: 2, make: (b, o, n) => new Int16Array(b, o, n) },
};

/** What the bits of small numbers, which are what their arrays hold, stand for. */
const SMALL: Readonly<Partial<Record<string, (bits: number) => number>>> = {
  f16: half,
  bf16: bits => floatOf(bits << 16),
  unorm8: bits => Math.fround(bits / 255),
  unorm16: bits => Math.fround(bits / 65535),
  snorm8: bits => Math.max(Math.fround(bits / 127), -1),
  snorm16: bits => Math.max(Math.fround(bits / 32767), -1),
};

const WORD = new Int32Array(1), FLOAT = new Float32Array(WORD.buffer);

function floatOf(bits: number): number {
  WORD[0] = bits;
  return FLOAT[0]!;
}

/** IEEE 754 binary16. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** Of a type of small numbers what makes numbers of its arrays' elements: `column.data` of an `f16` holds 15360, which is 1. */
export function smallNumbers(type: string): ((bits: number) => number) | undefined {
  return Object.hasOwn(SMALL, type) ? SMALL[type] : undefined;
}

/** An element of a column's array as a number. */
export function numberOf(type: string, element: number | bigint): number {
  const small = smallNumbers(type);
  return small ? small(Number(element)) : Number(element);
}

/** Whether the text names a type. */
export function isScalarType(text: unknown): text is ScalarType {
  return typeof text === "string" && Object.hasOwn(KINDS, text);
}

/** Bytes of one value. */
export function scalarBytes(type: ScalarType): 1 | 2 | 4 | 8 {
  return KINDS[type].bytes;
}

/** The bytes seen as values of the type. The offset must be a multiple of the type's bytes. */
export function arrayOver(type: ScalarType, buffer: ArrayBufferLike, offset: number, length: number): ColumnArray {
  return KINDS[type].make(buffer, offset, length);
}

/** One value as its type says. */
export function scalarOf(type: ScalarType, value: number | bigint): Scalar {
  const small = smallNumbers(type);
  if (small) return small(Number(value));
  return type === "bool" ? value !== 0 : value;
}
