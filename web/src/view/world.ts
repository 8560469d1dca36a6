//! The view-world: a read-only mirror of the server's tables.
//!
//! Invariants: between two updates it is one generation, whole; an update that is refused changes nothing; it never
//! holds more bytes than it was allowed.

import { changedColumns, type ChangedColumn } from "./changes.ts";
import { ColumnView } from "./column.ts";
import { ProtocolError, ViewError, messageOf } from "./errors.ts";
import type { ComponentInfo, Hello, ResourceInfo, UpdatePart } from "./protocol.ts";
import { Budget, Table, type ColumnSpec } from "./table.ts";
import { RESOURCES, Names, apply, check } from "./update.ts";
import { numberOf, type Scalar } from "./types.ts";

/** Where an entity is. */
export interface Place {
  readonly table: Table;
  readonly row: number;
}

/** All entities of all tables; where the subscription has a box, of its tables those inside. */
export class Entities {
  readonly #tables: () => Iterable<Table>;

  constructor(tables: () => Iterable<Table>) {
    this.#tables = tables;
  }

  /** How many there are. */
  get count(): number {
    let sum = 0;
    for (const table of this.#tables()) sum += table.rowsShown;
    return sum;
  }

  /**
   * Finds an entity by its handle (a bigint) or by its slot (a number). Looks through the tables: its time follows the
   * number of entities.
   */
  find(entity: bigint | number): Place | undefined {
    const slot = typeof entity === "bigint" ? Number(entity & 0xffff_ffffn) : entity;
    for (const table of this.#tables()) {
      const { bytes } = table.handles, words = new Uint32Array(bytes.buffer, 0, table.rows * 2);
      for (let row = 0, at = 0; row < table.rows; row++, at += 2) {
        if (words[at] !== slot) continue;
        if (typeof entity === "bigint" && words[at + 1] !== Number(entity >> 32n)) continue;
        return table.shows(row) ? { table, row } : undefined;
      }
    }
    return undefined;
  }

  /** An entity's values by column name; `undefined` where there is no such entity. */
  get(entity: bigint | number): Map<string, Scalar | Scalar[]> | undefined {
    const place = this.find(entity);
    return place?.table.row(place.row);
  }

  *[Symbol.iterator](): Generator<bigint> {
    for (const table of this.#tables()) {
      for (let row = 0; row < table.rows; row++) if (table.shows(row)) yield table.handles.data[row] as bigint;
    }
  }
}

/** What an update did. */
export interface Applied {
  readonly full: boolean;
  readonly generation: number;
  /** Which row of generations this one belongs to: {@link World.series}. */
  readonly series: number;
  readonly frame: number;
  readonly time: number;
  /** Rows that changed: of each table, those of its most changed column. */
  readonly rows: number;
  /** The newest input of this client that this state can contain. */
  readonly input: number;
}

export class World {
  /** The generation that is held; 0: nothing yet. */
  generation = 0;
  frame = 0;
  /** Simulated time. */
  time = 0;
  /** One more with every update: chunks and tables are stamped with it. */
  version = 0;
  /**
   * One more with every whole state, from which deltas lead on: at the beginning, after another subscription, after a
   * connection that could not be resumed, and where the simulation itself was started anew and counts from 1 again.
   */
  series = 0;
  /** The highest generation that was held in an earlier series. */
  #earlier = 0;
  readonly entities: Entities;
  readonly #bytesMax: number;
  readonly #budget: Budget;
  readonly #tables = new Map<number, Table>();
  #names = new Names({ components: [] });
  #resources: readonly ResourceInfo[] = [];

  constructor(memoryBytesMax: number) {
    this.#bytesMax = memoryBytesMax;
    // tables that grow take a quarter more than they need
    this.#budget = new Budget(memoryBytesMax * 1.5);
    this.entities = new Entities(() => this.#entityTables());
  }

  /** Tables of entities, in the server's order. */
  get tables(): Table[] {
    return [...this.#entityTables()].sort((a, b) => a.id - b.id);
  }

  /** What the server can show. */
  get components(): ComponentInfo[] {
    return [...this.#names.components.values()];
  }

  /** Every column that the server can show, by name. */
  get columns(): ReadonlyMap<string, ColumnSpec> {
    return this.#names.columns;
  }

  /** Bytes held by columns. */
  get bytes(): number {
    return this.#budget.used;
  }

  /** One field over all tables, such as `position.x`, or one value of an array field, such as `velocity.v[1]`. */
  column(name: string): ColumnView {
    return new ColumnView(name, () => this.tables, base => this.#names.columns.get(base));
  }

  /** The names of the resources. */
  get resources(): string[] {
    return this.#resources.map(resource => resource.name);
  }

  /** The resources' fields, with their types and units. */
  get resourceLayouts(): readonly ResourceInfo[] {
    return this.#resources;
  }

  /** A resource's values by field; `undefined` where it has none. */
  resource(name: string): Map<string, Scalar | Scalar[]> | undefined {
    const info = this.#resources.find(resource => resource.name === name);
    const table = this.#tables.get(RESOURCES), bytes = table?.parts[0]?.bytes.subarray(0, table.rows);
    if (!info || !bytes || !bytes[info.presence]) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const values = new Map<string, Scalar | Scalar[]>();
    for (const field of info.fields) {
      if (field.offset + field.bytes > bytes.byteLength) return undefined;
      const size = field.bytes / Math.max(field.length, 1);
      const one = (k: number): Scalar => scalarAt(view, field.scalar, field.offset + k * size);
      values.set(field.name, field.length === 0 ? one(0) : Array.from({ length: field.length }, (_, k) => one(k)));
    }
    return values;
  }

  /**
   * The columns in which something changed after a generation that was held before, table by table. Chunks of 1,024 rows
   * are told whose bytes may differ from those that the same rows had at that generation: never too few, and of what
   * came by updates no more than these brought. With 0, or a generation before the first that was held, everything has
   * changed. Of rows outside a subscription's box nothing is told, until they come inside.
   *
   * The same number may stand for another state in an earlier {@link World.series}. Say which series it was seen in and
   * the answer is exact; without, everything has changed wherever there is a doubt.
   *
   * @throws ViewError: `generation` is not a whole number from 0 on.
   */
  changedSince(generation: number, series?: number): ChangedColumn[] {
    if (!Number.isSafeInteger(generation) || generation < 0) throw new ViewError(`a generation is a whole number from 0 on, not ${generation}`);
    const another = series === undefined ? generation <= this.#earlier : series !== this.series;
    return this.tables.flatMap(table => [...changedColumns(table, another ? -1 : generation)]);
  }

  /** Every table, the resources' too, with its bytes: for comparisons. */
  get raw(): ReadonlyMap<number, Table> {
    return this.#tables;
  }

  /** Takes in what a server shows. Another layout than before forgets all. */
  announce(hello: Hello): void {
    this.#names = new Names(hello);
    this.#resources = hello.resources;
  }

  /** Forgets all tables. */
  clear(): void {
    for (const table of this.#tables.values()) table.clear();
    this.#tables.clear();
    this.#earlier = Math.max(this.#earlier, this.generation);
    this.generation = 0;
    this.version++;
  }

  /**
   * Applies all parts of an update.
   *
   * @throws ProtocolError: it is not what the protocol allows, or too large. The world is as before.
   */
  apply(parts: readonly UpdatePart[]): Applied {
    const first = parts[0];
    if (!first) throw new ProtocolError("an update without parts");
    if (!first.full && first.from !== this.generation) {
      throw new ProtocolError(`an update from generation ${first.from}; this world is at ${this.generation}`);
    }
    const update = check(parts, this.#tables, this.#names, this.#bytesMax);
    const version = this.version + 1;
    let rows: number;
    try {
      rows = apply(update, this.#tables, this.#names, this.#budget, { version, generation: first.to });
    } catch (error) {
      // only memory can fail after the check: what is half there is of no use
      this.clear();
      throw error instanceof ProtocolError ? error : new ProtocolError(`no memory for the state: ${messageOf(error)}`);
    }
    this.version = version;
    if (first.full) {
      this.series++;
      this.#earlier = Math.max(this.#earlier, this.generation);
    }
    this.generation = first.to;
    this.frame = first.frame;
    this.time = first.time;
    return { full: first.full, generation: first.to, series: this.series, frame: first.frame, time: first.time, rows, input: first.input };
  }

  *#entityTables(): Generator<Table> {
    for (const table of this.#tables.values()) if (table.id !== RESOURCES) yield table;
  }
}

function scalarAt(view: DataView, type: string, at: number): Scalar {
  switch (type) {
    case "f32": return view.getFloat32(at, true);
    case "f64": return view.getFloat64(at, true);
    case "i8": return view.getInt8(at);
    case "i16": return view.getInt16(at, true);
    case "i32": return view.getInt32(at, true);
    case "i64": return view.getBigInt64(at, true);
    case "u8": return view.getUint8(at);
    case "u16": return view.getUint16(at, true);
    case "u32": return view.getUint32(at, true);
    case "bool": return view.getUint8(at) !== 0;
    case "f16": case "bf16": case "unorm16": return numberOf(type, view.getUint16(at, true));
    case "snorm16": return numberOf(type, view.getInt16(at, true));
    case "unorm8": return numberOf(type, view.getUint8(at));
    case "snorm8": return numberOf(type, view.getInt8(at));
    default: return view.getBigUint64(at, true);
  }
}

/** Collects the parts of one update. */
export class Assembler {
  #parts: UpdatePart[] = [];
  #bytes = 0;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Takes a part; the whole update when it was the last. */
  take(part: UpdatePart): readonly UpdatePart[] | undefined {
    const first = this.#parts[0] ?? part, count = this.#parts.length;
    if (part.part !== count % 65_536 || part.subscription !== first.subscription || part.from !== first.from || part.to !== first.to
      || part.full !== first.full || part.parts !== first.parts || part.frame !== first.frame) {
      throw new ProtocolError(`part ${part.part} of an update where part ${count} is due`);
    }
    if (part.parts !== 0 && part.last !== (count + 1 === part.parts)) throw new ProtocolError("an update with another number of parts than it says");
    this.#bytes += part.body.byteLength + 256;
    if (this.#bytes > this.#bytesMax) throw new ProtocolError(`an update of more than ${this.#bytesMax} bytes`);
    this.#parts.push(part);
    if (!part.last) return undefined;
    const parts = this.#parts;
    this.clear();
    return parts;
  }

  clear(): void {
    this.#parts = [];
    this.#bytes = 0;
  }
}
