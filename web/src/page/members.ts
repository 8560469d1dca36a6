//! Who is chosen: handles, and for each table which of its rows are theirs, kept up to date chunk by chunk.

import { CHUNK_ROWS, type Table } from "../view/table.ts";
import { HandleMap } from "./handles.ts";
import type { Source } from "./gpu.ts";

/** The rows of a table, ascending. */
export interface Rows {
  readonly table: Table;
  readonly rows: Uint32Array;
}

/** Who of a table is a member: as a number for each row, with stamps of chunks as columns have them, and as rows. */
interface Held {
  readonly data: Float32Array<ArrayBuffer>;
  readonly stamps: Float64Array<ArrayBuffer>;
  /** The choice that it is of, and the version of the handles that it has seen. */
  readonly choice: number;
  seen: number;
  count: number;
  rows: Uint32Array | undefined;
}

/** The rows of members. */
function rowsOf(held: Held): Uint32Array {
  if (held.rows) return held.rows;
  const { data, count } = held;
  let size = 0;
  for (let row = 0; row < count; row++) size += data[row]!;
  const rows = held.rows = new Uint32Array(size);
  for (let row = 0, at = 0; row < count; row++) if (data[row] !== 0) rows[at++] = row;
  return rows;
}

/** The handles of a table, as words: the lower half, and the upper. */
function wordsOf({ handles: { bytes }, rows }: Table): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, rows * 2);
}

export class Members {
  #handles = new HandleMap();
  /** One more with every other choice. */
  #choice = 0;
  #held = new WeakMap<Table, Held>();
  /** Chunks that were looked at. */
  looked = 0;

  /** How many were chosen, those who are gone among them. */
  get size(): number {
    return this.#handles.size;
  }

  clear(): void {
    this.#handles = new HandleMap();
    this.#choice++;
  }

  /** Chooses those that `all` calls its argument with, besides those who are chosen already. */
  add(all: (each: (table: Table, row: number) => void) => void): void {
    let table: Table | undefined, words: Uint32Array = new Uint32Array(0);
    all((of, row) => {
      if (of !== table) {
        table = of;
        words = wordsOf(of);
      }
      this.#handles.set(words[row * 2]!, words[row * 2 + 1]!, 0);
    });
    this.#choice++;
  }

  /** Where the members are now; those outside a box are left out: their values are old. */
  of(tables: readonly Table[]): Rows[] {
    const shown = (table: Table, rows: Uint32Array): Uint32Array => table.inBox ? rows.filter(row => table.shows(row)) : rows;
    return this.size === 0 ? [] : tables.map(table => ({ table, rows: shown(table, rowsOf(this.#look(table))) })).filter(({ rows }) => rows.length > 0);
  }

  /** For each row of a table whether it is a member's; nothing where none is. */
  marks(table: Table): Source | undefined {
    if (this.size === 0) return undefined;
    const computed = this.#look(table);
    return rowsOf(computed).length > 0 ? { kind: "computed", computed } : undefined;
  }

  /** Looks only at chunks whose handles have changed since. */
  #look(table: Table): Held {
    const { rows, handles } = table, before = this.#held.get(table), chunks = Math.ceil(rows / CHUNK_ROWS);
    let held = before;
    if (!held || held.choice !== this.#choice || held.data.length < rows) {
      const room = Math.max(table.capacity, rows);
      this.#held.set(table, held = { data: new Float32Array(room), stamps: new Float64Array(Math.ceil(room / CHUNK_ROWS)), choice: this.#choice, seen: -1, count: -1, rows: undefined });
    }
    const words = wordsOf(table), { seen, data } = held;
    for (let chunk = 0; chunk < chunks; chunk++) {
      const stamp = handles.stamps[chunk]!, end = Math.min((chunk + 1) * CHUNK_ROWS, rows);
      if (stamp <= seen) continue;
      held.stamps[chunk] = stamp;
      held.seen = Math.max(held.seen, stamp);
      held.rows = undefined;
      this.looked++;
      for (let row = chunk * CHUNK_ROWS; row < end; row++) data[row] = this.#handles.get(words[row * 2]!, words[row * 2 + 1]!) === undefined ? 0 : 1;
    }
    if (held.count !== rows) held.rows = undefined;
    held.count = rows;
    return held;
  }
}
