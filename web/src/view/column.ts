//! `world.column(name)`: one field of all tables that have it, in place.

import { ViewError } from "./errors.ts";
import type { Bits, Column, Table } from "./table.ts";
import { scalarOf, type ColumnArray, type Scalar, type ScalarType } from "./types.ts";

/** The column in one table. */
export interface Part {
  readonly table: Table;
  readonly column: Column;
  /** The rows' values, in place: valid until the table grows, so take it anew in each frame. */
  readonly data: ColumnArray;
  /** Rows of the table. Where there is a box, `inside` says which of them count. */
  readonly rows: number;
  /** The first value of row 0, and how many values a row has. */
  readonly offset: number;
  readonly stride: number;
  /** For a component that rows may lack: which have it. */
  readonly presence: Bits | undefined;
  /** For a subscription with a box: which rows are inside. The data of others is old, or zero. */
  readonly inside: Bits | undefined;
}

/**
 * One field over all tables, in table and row order; with a box, of the rows inside. Nothing is copied: the view shows
 * whatever the world holds when it is asked.
 */
export class ColumnView implements Iterable<Scalar | Scalar[] | undefined> {
  readonly name: string;
  readonly type: ScalarType;
  /** Values per row: above 1 for array fields that no `[k]` picks from. */
  readonly lanes: number;
  readonly #lane: number | undefined;
  readonly #base: string;
  readonly #tables: () => Iterable<Table>;

  constructor(name: string, tables: () => Iterable<Table>, known: (name: string) => { type: ScalarType; lanes: number } | undefined) {
    const match = /^(.+?)\[(\d+)\]$/.exec(name);
    const base = match?.[1] ?? name;
    const found = known(base);
    if (!found) throw new ViewError(`there is no column ${base}`);
    const lane = match ? Number(match[2]) : undefined;
    if (lane !== undefined && lane >= found.lanes) throw new ViewError(`${base} has ${found.lanes} values per row`);
    this.name = name;
    this.type = found.type;
    this.lanes = lane === undefined ? found.lanes : 1;
    this.#lane = lane;
    this.#base = base;
    this.#tables = tables;
  }

  /** One part per table that has the column and any rows. */
  get parts(): Part[] {
    const parts: Part[] = [];
    for (const table of this.#tables()) {
      const column = table.columns.get(this.#base);
      if (!column || table.rows === 0) continue;
      parts.push({
        table,
        column,
        data: column.data.subarray(0, table.rows * column.lanes),
        rows: table.rows,
        offset: this.#lane ?? 0,
        stride: column.lanes,
        presence: table.toggles.get(column.component),
        inside: table.inBox,
      });
    }
    return parts;
  }

  /** Rows in all parts; with a box, those inside. */
  get length(): number {
    let sum = 0;
    for (const table of this.#tables()) if (table.columns.has(this.#base)) sum += table.rowsShown;
    return sum;
  }

  /** The value of a row, counted through all parts; `undefined` past the end and where the row lacks the component. */
  at(index: number): Scalar | Scalar[] | undefined {
    if (index < 0) index += this.length;
    if (index < 0) return undefined;
    for (const part of this.parts) {
      const rows = part.table.rowsShown;
      if (index < rows) return this.#value(part, part.inside ? part.inside.nth(index, part.rows) : index);
      index -= rows;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<Scalar | Scalar[] | undefined> {
    for (const part of this.parts) {
      for (let row = 0; row < part.rows; row++) if (part.table.shows(row)) yield this.#value(part, row);
    }
  }

  /** All values of present rows in one new array; array fields are flat. */
  toArray(): ColumnArray {
    const parts = this.parts;
    const lengths = parts.map(({ presence, inside, rows }) => {
      if (!presence || !inside) return (presence ?? inside)?.count(rows) ?? rows;
      let both = 0;
      for (let row = 0; row < rows; row++) if (presence.has(row) && inside.has(row)) both++;
      return both;
    });
    const total = lengths.reduce((sum, length) => sum + length, 0) * this.lanes;
    const first = parts[0];
    if (!first) return new Float64Array(0);
    const out = new (first.data.constructor as new (length: number) => ColumnArray)(total);
    let to = 0;
    for (const { data, rows, offset, stride, presence, inside } of parts) {
      if (!presence && !inside && this.lanes === stride) {
        (out as Float64Array).set(data as Float64Array, to);
        to += data.length;
        continue;
      }
      for (let row = 0; row < rows; row++) {
        if (presence?.has(row) === false || inside?.has(row) === false) continue;
        for (let k = 0; k < this.lanes; k++) out[to++] = data[row * stride + offset + k] as never;
      }
    }
    return out;
  }

  #value(part: Part, row: number): Scalar | Scalar[] | undefined {
    if (part.presence && !part.presence.has(row)) return undefined;
    const lane = (k: number): Scalar => scalarOf(this.type, part.data[row * part.stride + part.offset + k] ?? 0);
    return this.lanes === 1 ? lane(0) : Array.from({ length: this.lanes }, (_, k) => lane(k));
  }
}
