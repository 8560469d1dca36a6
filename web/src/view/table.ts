//! Tables and their columns: where the view-world's bytes live.
//!
//! Invariants: rows are dense; a column's array is replaced only when its table outgrows it; every growth is claimed
//! from the world's budget first, so hostile row counts end in an error and never in an allocation.

import { ProtocolError } from "./errors.ts";
import { arrayOver, scalarBytes, scalarOf, type ColumnArray, type Scalar, type ScalarType } from "./types.ts";

/** Rows that share a stamp, and that the server sends together. */
export const CHUNK_ROWS = 1024;

/** How many bytes of columns a world may hold, room for growth included. */
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

/** When an update is applied: what its chunks are stamped with. */
export interface Moment {
  /** The world's version that it makes. */
  readonly version: number;
  /** The generation that it leads to. */
  readonly generation: number;
}

/** What a column of a table is for. */
export type Role = "handle" | "field" | "presence" | "resources" | "box";

/** Growable bytes with a stamp for each chunk of rows. */
abstract class Store {
  readonly role: Role;
  /** The same for the same column of a table, whatever its place. */
  readonly key: string;
  /** Bytes of an item: a row's, or 8 for 64 rows of bits. */
  readonly itemBytes: number;
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** For each chunk of 1,024 rows the world's version in which it last changed. */
  stamps: Float64Array<ArrayBuffer> = new Float64Array(0);
  /** For each chunk the generation to which the update led that last changed it. */
  generations: Float64Array<ArrayBuffer> = new Float64Array(0);
  readonly #budget: Budget;

  constructor(role: Role, key: string, itemBytes: number, budget: Budget) {
    this.role = role;
    this.key = key;
    this.itemBytes = itemBytes;
    this.#budget = budget;
  }

  /** Rows of one item. */
  abstract readonly itemRows: 1 | 64;
  /** Called when the bytes have moved. */
  protected abstract moved(): void;

  /** Bytes of so many rows. */
  bytesOf(rows: number): number {
    return Math.ceil(rows / this.itemRows) * this.itemBytes;
  }

  /** Makes room for so many rows. */
  reserve(rows: number): void {
    const bytes = this.bytesOf(rows), chunks = Math.ceil(rows / CHUNK_ROWS);
    if (bytes === this.bytes.length) return;
    const need = bytes + chunks * 16 - (this.bytes.length + this.stamps.length * 16);
    if (need > 0) this.#budget.claim(need);
    const grown = new Uint8Array(bytes), stamps = new Float64Array(chunks), generations = new Float64Array(chunks);
    grown.set(this.bytes.subarray(0, Math.min(bytes, this.bytes.length)));
    stamps.set(this.stamps.subarray(0, Math.min(chunks, this.stamps.length)));
    generations.set(this.generations.subarray(0, Math.min(chunks, this.generations.length)));
    this.bytes = grown;
    this.stamps = stamps;
    this.generations = generations;
    if (need < 0) this.#budget.release(-need);
    this.moved();
  }

  /** Makes rows zero. */
  wipe(from: number, to: number): void {
    this.bytes.fill(0, from * this.itemBytes, to * this.itemBytes);
  }

  /** Notes that items changed. */
  stamp(from: number, to: number, { version, generation }: Moment): void {
    if (to <= from) return;
    const first = Math.floor(from * this.itemRows / CHUNK_ROWS), end = Math.ceil(to * this.itemRows / CHUNK_ROWS);
    this.stamps.fill(version, first, end);
    this.generations.fill(generation, first, end);
  }

  /** Notes that these items changed, one by one. */
  stampEach(items: Uint32Array, { version, generation }: Moment): void {
    const shift = this.itemRows === 64 ? 4 : 10;
    for (let i = 0; i < items.length; i++) {
      this.stamps[items[i]! >>> shift] = version;
      this.generations[items[i]! >>> shift] = generation;
    }
  }
}

/** One field of one component in one table. */
export class Column extends Store implements ColumnSpec {
  readonly name: string;
  readonly component: string;
  readonly field: string;
  readonly type: ScalarType;
  readonly lanes: number;
  readonly itemRows = 1;
  /** The values, room for later rows included. Replaced when the table grows. */
  data: ColumnArray;

  constructor(spec: ColumnSpec, role: Role, key: string, budget: Budget) {
    super(role, key, scalarBytes(spec.type) * spec.lanes, budget);
    this.name = spec.name;
    this.component = spec.component;
    this.field = spec.field;
    this.type = spec.type;
    this.lanes = spec.lanes;
    this.data = arrayOver(this.type, this.bytes.buffer, 0, 0);
  }

  protected override moved(): void {
    this.data = arrayOver(this.type, this.bytes.buffer, 0, this.bytes.length / scalarBytes(this.type));
  }
}

/** One bit per row: whether a toggle component is present, or whether the row is inside a box. */
export class Bits extends Store {
  readonly component: string;
  readonly itemRows = 64;
  /** 32 rows per word, lowest bit first. */
  words: Uint32Array<ArrayBuffer> = new Uint32Array(0);

  constructor(component: string, role: Role, key: string, budget: Budget) {
    super(role, key, 8, budget);
    this.component = component;
  }

  protected override moved(): void {
    this.words = new Uint32Array(this.bytes.buffer);
  }

  override wipe(from: number, to: number): void {
    const word = from >>> 5;
    if (from & 31 && word < this.words.length) this.words[word] = (this.words[word] ?? 0) & 2 ** (from & 31) - 1;
    this.words.fill(0, (from + 31) >>> 5, (to + 63 >>> 6) * 2);
  }

  has(row: number): boolean {
    return ((this.words[row >>> 5] ?? 0) >>> (row & 31) & 1) === 1;
  }

  /** The row of the bit that is set as the n-th one (from 0) of the first rows; -1 where there are fewer. */
  nth(n: number, rows: number): number {
    for (let word = 0; word * 32 < rows; word++) {
      const from = word * 32, here = this.countIn(word, rows - from);
      if (n >= here) {
        n -= here;
        continue;
      }
      for (let row = from; ; row++) if (this.has(row) && n-- === 0) return row;
    }
    return -1;
  }

  /** How many of the first rows have it. */
  count(rows: number): number {
    let sum = 0;
    for (let word = 0; word * 32 < rows; word++) sum += this.countIn(word, rows - word * 32);
    return sum;
  }

  /** How many of the first rows of a word of 32 have it. */
  private countIn(word: number, rows: number): number {
    let bits = this.words[word] ?? 0;
    if (rows < 32) bits &= 2 ** rows - 1;
    bits -= bits >>> 1 & 0x55555555;
    bits = (bits & 0x33333333) + (bits >>> 2 & 0x33333333);
    return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
}

/** All entities with the same components. */
export class Table {
  /** The server's number for it, for the connection's life. */
  readonly id: number;
  /** Names of the components, toggles included. */
  components: readonly string[] = [];
  columns: ReadonlyMap<string, Column> = new Map();
  /** Presence of toggle components, by component. */
  toggles: ReadonlyMap<string, Bits> = new Map();
  /**
   * Which rows are inside the subscription's box; `undefined` without a box. Of the others only the handles are known:
   * their values are old, or zero.
   */
  inBox: Bits | undefined;
  /** All of them, in the server's order. */
  parts: readonly (Column | Bits)[] = [];
  #rows = 0;
  #capacity = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** The handles: slot in the lower, generation in the upper half. */
  get handles(): Column {
    return this.parts[0] as Column;
  }

  /** Rows of the table, those outside a box among them. */
  get rows(): number {
    return this.#rows;
  }

  /** Rows that the subscription shows: all of them, or those inside its box. */
  get rowsShown(): number {
    return this.inBox ? this.inBox.count(this.#rows) : this.#rows;
  }

  /** Whether the subscription shows a row. */
  shows(row: number): boolean {
    return row >= 0 && row < this.#rows && (this.inBox?.has(row) ?? true);
  }

  /** Rows that its arrays have room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Whether it has the component, as a table or as a toggle that some rows may lack. */
  has(component: string): boolean {
    return this.components.includes(component);
  }

  /** Gives it columns; those it had before keep what they hold, new ones are zero. */
  reshape(components: readonly string[], parts: readonly (Column | Bits)[], moment: Moment): void {
    const before = this.parts;
    for (const part of this.parts) if (!parts.includes(part)) part.reserve(0);
    this.components = components;
    this.parts = parts;
    const fields = parts.filter((part): part is Column => part instanceof Column && part.role === "field");
    const bits = parts.filter((part): part is Bits => part instanceof Bits);
    this.columns = new Map(fields.map(column => [column.name, column]));
    this.toggles = new Map(bits.filter(part => part.role === "presence").map(part => [part.component, part]));
    this.inBox = bits.find(part => part.role === "box");
    for (const part of parts) {
      part.reserve(this.#capacity);
      if (!before.includes(part)) part.stamp(0, Math.ceil(this.#rows / part.itemRows), moment);
    }
  }

  /** Sets the number of rows; new rows are zero until written. */
  resize(rows: number, moment: Moment): void {
    const before = this.#rows;
    if (rows < before) for (const part of this.parts) part.wipe(rows, before);
    if (rows > this.#capacity || rows < this.#capacity / 4 - CHUNK_ROWS) {
      const spare = before > 0 && rows > before ? 64 + rows / 4 : 0;
      const capacity = Math.ceil((rows + spare) / 64) * 64;
      for (const part of this.parts) part.reserve(capacity);
      this.#capacity = capacity;
    }
    if (rows > before) for (const part of this.parts) part.stamp(Math.floor(before / part.itemRows), Math.ceil(rows / part.itemRows), moment);
    this.#rows = rows;
  }

  /** Gives all memory back to the budget. */
  clear(): void {
    for (const part of this.parts) part.reserve(0);
    this.#capacity = this.#rows = 0;
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
