//! Tables and their columns: where the view-world's bytes live.
//!
//! Invariants: rows are dense; a column's array is replaced only when its table outgrows it; every growth is claimed
//! from the world's budget first, so hostile row counts end in an error and never in an allocation.

import { ProtocolError } from "./errors.ts";
import { arrayOver, scalarBytes, scalarOf, type ColumnArray, type Scalar, type ScalarType } from "./types.ts";

/** Rows that share a stamp, and that the server sends together. */
export const CHUNK_ROWS = 1024;

/** How many bytes of columns a world may hold. */
export class Budget {
  readonly bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  claim(bytes: number): void {
    if (!Number.isSafeInteger(bytes) || bytes < 0 || this.#used + bytes > this.bytesMax) {
      throw new ProtocolError(
        `the state needs ${this.#used + bytes} bytes, this client holds at most ${this.bytesMax}: raise memoryBytesMax`,
      );
    }
    this.#used += bytes;
  }

  release(bytes: number): void {
    this.#used -= bytes;
  }
}

/** What a column holds. */
export interface ColumnSpec {
  /** `component.field`; the component's name alone for presence bits. */
  readonly name: string;
  readonly component: string;
  /** Empty for presence bits. */
  readonly field: string;
  readonly type: ScalarType;
  /** Values per row: above 1 for array fields. */
  readonly lanes: number;
}

/** Growable bytes with a stamp for each chunk of rows. */
class Store {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** For each chunk of 1,024 rows the world's version in which it last changed. */
  stamps: Float64Array<ArrayBuffer> = new Float64Array(0);
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  resize(bytes: number, chunks: number): boolean {
    if (bytes === this.bytes.length) return false;
    const need = (bytes + chunks * 8) - (this.bytes.length + this.stamps.length * 8);
    if (need > 0) this.#budget.claim(need);
    else this.#budget.release(-need);
    const next = new Uint8Array(bytes);
    next.set(this.bytes.subarray(0, Math.min(bytes, this.bytes.length)));
    this.bytes = next;
    const stamps = new Float64Array(chunks);
    stamps.set(this.stamps.subarray(0, Math.min(chunks, this.stamps.length)));
    this.stamps = stamps;
    return true;
  }
}

/** One field of one component in one table. */
export class Column implements ColumnSpec {
  readonly name: string;
  readonly component: string;
  readonly field: string;
  readonly type: ScalarType;
  readonly lanes: number;
  readonly rowBytes: number;
  /** The values, room for later rows included. Replaced when the table grows. */
  data: ColumnArray;
  readonly #store: Store;

  constructor(spec: ColumnSpec, budget: Budget) {
    this.name = spec.name;
    this.component = spec.component;
    this.field = spec.field;
    this.type = spec.type;
    this.lanes = spec.lanes;
    this.rowBytes = scalarBytes(spec.type) * spec.lanes;
    this.#store = new Store(budget);
    this.data = arrayOver(this.type, this.#store.bytes.buffer, 0, 0);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#store.bytes;
  }

  get stamps(): Float64Array<ArrayBuffer> {
    return this.#store.stamps;
  }

  /** Makes room for so many rows. */
  reserve(rows: number): void {
    if (this.#store.resize(rows * this.rowBytes, Math.ceil(rows / CHUNK_ROWS))) {
      this.data = arrayOver(this.type, this.#store.bytes.buffer, 0, rows * this.lanes);
    }
  }

  /** Notes that rows changed. */
  stamp(from: number, to: number, version: number): void {
    if (to > from) this.stamps.fill(version, Math.floor(from / CHUNK_ROWS), Math.ceil(to / CHUNK_ROWS));
  }
}

/** One bit per row: whether a toggle component is present. */
export class Bits {
  readonly component: string;
  /** 32 rows per word, lowest bit first. */
  words: Uint32Array<ArrayBuffer>;
  readonly #store: Store;

  constructor(component: string, budget: Budget) {
    this.component = component;
    this.#store = new Store(budget);
    this.words = new Uint32Array(this.#store.bytes.buffer);
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#store.bytes;
  }

  get stamps(): Float64Array<ArrayBuffer> {
    return this.#store.stamps;
  }

  reserve(rows: number): void {
    if (this.#store.resize(Math.ceil(rows / 64) * 8, Math.ceil(rows / CHUNK_ROWS))) {
      this.words = new Uint32Array(this.#store.bytes.buffer);
    }
  }

  stamp(from: number, to: number, version: number): void {
    if (to > from) this.stamps.fill(version, Math.floor(from / CHUNK_ROWS), Math.ceil(to / CHUNK_ROWS));
  }

  has(row: number): boolean {
    return ((this.words[row >>> 5] ?? 0) >>> (row & 31) & 1) === 1;
  }

  /** How many of the first rows have it. */
  count(rows: number): number {
    let sum = 0;
    for (let word = 0; word * 32 < rows; word++) {
      let bits = this.words[word] ?? 0;
      if (rows - word * 32 < 32) bits &= 2 ** (rows - word * 32) - 1;
      bits -= bits >>> 1 & 0x55555555;
      bits = (bits & 0x33333333) + (bits >>> 2 & 0x33333333);
      sum += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
    }
    return sum;
  }
}

/** All entities with the same components. */
export class Table {
  /** The server's number for it, for the connection's life. */
  readonly id: number;
  /** Names of the components, toggles included. */
  readonly components: readonly string[];
  /** The handles: slot in the lower, generation in the upper half. */
  readonly handles: Column;
  readonly columns: ReadonlyMap<string, Column>;
  readonly toggles: ReadonlyMap<string, Bits>;
  #rows = 0;
  #capacity = 0;

  constructor(id: number, components: readonly string[], specs: readonly ColumnSpec[], toggles: readonly string[], budget: Budget) {
    this.id = id;
    this.components = components;
    this.handles = new Column({ name: "entity", component: "", field: "entity", type: "u64", lanes: 1 }, budget);
    this.columns = new Map(specs.map(spec => [spec.name, new Column(spec, budget)]));
    this.toggles = new Map(toggles.map(name => [name, new Bits(name, budget)]));
  }

  /** Entities in the table. */
  get rows(): number {
    return this.#rows;
  }

  /** Rows that its arrays have room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Whether it has the component, as a table or as a toggle that some rows may lack. */
  has(component: string): boolean {
    return this.components.includes(component);
  }

  /** Sets the number of rows; new rows are zero until written. */
  resize(rows: number, roomy: boolean): void {
    if (rows > this.#capacity || rows < this.#capacity / 4 - CHUNK_ROWS) {
      const spare = roomy && rows > this.#capacity ? rows >>> 2 : 0;
      const capacity = Math.ceil((rows + spare) / CHUNK_ROWS) * CHUNK_ROWS;
      for (const part of this.parts()) part.reserve(capacity);
      this.#capacity = capacity;
    }
    this.#rows = rows;
  }

  /** Gives all memory back to the budget. */
  clear(): void {
    for (const part of this.parts()) part.reserve(0);
    this.#capacity = this.#rows = 0;
  }

  *parts(): Generator<Column | Bits> {
    yield this.handles;
    yield* this.columns.values();
    yield* this.toggles.values();
  }

  /** A row's values by column name; of a toggle component only where it is present. */
  row(row: number): Map<string, Scalar | Scalar[]> {
    const values = new Map<string, Scalar | Scalar[]>();
    for (const column of this.columns.values()) {
      if (this.toggles.get(column.component)?.has(row) === false) continue;
      const at = row * column.lanes;
      const lane = (k: number): Scalar => scalarOf(column.type, column.data[at + k] ?? 0);
      values.set(column.name, column.lanes === 1 ? lane(0) : Array.from({ length: column.lanes }, (_, k) => lane(k)));
    }
    for (const toggle of this.toggles.values()) {
      if (![...this.columns.values()].some(column => column.component === toggle.component)) {
        values.set(toggle.component, toggle.has(row));
      }
    }
    return values;
  }
}
