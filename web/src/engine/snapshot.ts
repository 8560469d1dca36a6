//! A pinned generation: typed arrays on the engine's own memory.

/** A column's values, in place. `f32`: Float32Array, and so on; 64-bit integers and handles are bigints; presence is bits, row 0 the lowest of byte 0. */
export type EngineArray =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | BigInt64Array | Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

/** One table's part of a column. */
export interface EnginePart {
  rows: number;
  /** Values per row. */
  values: number;
  array: EngineArray;
}

/** A table: all entities with the same components. */
export interface EngineTable {
  rows: number;
  /** By name: `position.x`; `(entity)` are the handles, `frozen (presence)` the bits of a toggle. */
  columns: ReadonlyMap<string, EnginePart>;
}

/** What the engine says of a generation. */
export interface Described {
  id: number;
  generation: number;
  frame: number;
  time: number;
  entities: number;
  tables: { rows: number; columns: { name: string; type: string; values: number; at: number; bytes: number }[] }[];
}

type ArrayKind = (new (buffer: ArrayBufferLike, at: number, length: number) => EngineArray) & { BYTES_PER_ELEMENT: number };

/** What the values of a type are in. */
export const ARRAYS: Readonly<Record<string, ArrayKind>> = {
  f32: Float32Array, f64: Float64Array, i8: Int8Array, i16: Int16Array, i32: Int32Array, i64: BigInt64Array,
  u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, u64: BigUint64Array, bool: Uint8Array, entity: BigUint64Array, bits: Uint8Array,
  f16: Uint16Array, bf16: Uint16Array, unorm8: Uint8Array, unorm16: Uint16Array, snorm8: Int8Array, snorm16: Int16Array,
};

/** Bytes of a memory as values of a type. */
export function arrayOf(type: string, buffer: ArrayBufferLike, at: number, bytes: number): EngineArray {
  const Array = ARRAYS[type]!;
  // an empty column's address means nothing
  return bytes === 0 ? new Array(buffer, 0, 0) : new Array(buffer, at, bytes / Array.BYTES_PER_ELEMENT);
}

/** A memory's buffer, up to an address at least: another thread may have made the memory larger. */
export function whole(memory: WebAssembly.Memory, end: number): ArrayBufferLike {
  if (memory.buffer.byteLength < end) memory.grow(0);
  return memory.buffer;
}

/** A generation that stays as it is until it is released. */
export class Snapshot {
  readonly generation: number;
  readonly frame: number;
  /** Simulated seconds. */
  readonly time: number;
  readonly entities: number;
  private readonly described: Described;
  private readonly memory: WebAssembly.Memory;
  private readonly unpin: () => Promise<void>;
  private buffer: ArrayBufferLike | undefined;
  private made: EngineTable[] = [];

  constructor(described: Described, memory: WebAssembly.Memory, unpin: () => Promise<void>) {
    ({ generation: this.generation, frame: this.frame, time: this.time, entities: this.entities } = described);
    this.described = described;
    this.memory = memory;
    this.unpin = unpin;
  }

  /**
   * The tables. In-process, arrays end when the engine's memory grows, which a step may do: take them anew afterwards,
   * the values are the same.
   */
  get tables(): readonly EngineTable[] {
    const end = Math.max(0, ...this.described.tables.flatMap(table => table.columns.map(column => column.at + column.bytes)));
    const buffer = whole(this.memory, end);
    if (this.buffer !== buffer) {
      this.buffer = buffer;
      this.made = this.described.tables.map(({ rows, columns }) => ({
        rows,
        columns: new Map(columns.map(column => [column.name, { rows, values: column.values, array: arrayOf(column.type, buffer, column.at, column.bytes) }])),
      }));
    }
    return this.made;
  }

  /** A column of all tables that have it: one part for each. */
  column(name: string): EnginePart[] {
    return this.tables.flatMap(table => table.columns.get(name) ?? []);
  }

  /** Lets the engine use the memory again. */
  release(): Promise<void> {
    return this.unpin();
  }
}
