//! What a formula gives for each row of a table, block by block: only blocks whose inputs changed are computed again.

import { CHUNK_ROWS, type Bits, type Column, type Table } from "../view/table.ts";
import { smallNumbers } from "../view/types.ts";
import { ONE, TWO, type Formula, type Node } from "./expression.ts";

/** Computes a block: `rows` rows from row `from` on. The array is the computer's own, valid until the next call. */
type Computer = (from: number, rows: number) => Float64Array;

/** A formula's values in one table. */
export class Computed {
  data = new Float32Array(0);
  /** For each chunk of rows the world's version in which it last changed, as columns have it. */
  stamps = new Float64Array(0);
  readonly #table: Table;
  readonly #formula: Formula;
  readonly #boxed: boolean;
  #parts: Table["parts"] | undefined;
  #inputs: (Column | Bits)[] = [];
  #computer: Computer = () => new Float64Array(0);
  #rows = 0;

  /** `boxed`: rows outside the subscription's box have no value. */
  constructor(table: Table, formula: Formula, boxed = false) {
    this.#table = table;
    this.#formula = formula;
    this.#boxed = boxed;
  }

  /** Brings the values up to date. `version`: the world's. */
  refresh(version: number): this {
    const table = this.#table, { rows } = table, chunks = Math.ceil(rows / CHUNK_ROWS);
    if (this.#parts !== table.parts) {
      this.#parts = table.parts;
      this.#inputs = [];
      this.#computer = this.#within(this.#compile(this.#formula.node));
      this.#rows = 0;
    }
    if (this.data.length < rows) {
      const room = Math.max(table.capacity, rows), data = new Float32Array(room), stamps = new Float64Array(Math.ceil(room / CHUNK_ROWS));
      data.set(this.data);
      stamps.set(this.stamps);
      this.data = data;
      this.stamps = stamps;
    }
    for (let chunk = 0; chunk < chunks; chunk++) {
      const from = chunk * CHUNK_ROWS, to = Math.min(from + CHUNK_ROWS, rows);
      let newest = -1;
      for (const part of this.#inputs) newest = Math.max(newest, part.stamps[chunk] ?? version);
      // rows that are new to this hold nothing yet
      if (to <= this.#rows && newest <= this.stamps[chunk]!) continue;
      this.data.set(this.#computer(from, to - from).subarray(0, to - from), from);
      this.stamps[chunk] = version;
    }
    this.#rows = rows;
    return this;
  }

  #within(computer: Computer): Computer {
    const inside = this.#boxed ? this.#table.inBox : undefined, out = new Float64Array(CHUNK_ROWS);
    if (!inside) return computer;
    this.#inputs.push(inside);
    return (from, rows) => {
      const all = computer(from, rows);
      for (let i = 0; i < rows; i++) out[i] = inside.has(from + i) ? all[i]! : NaN;
      return out;
    };
  }

  #compile(node: Node): Computer {
    const out = new Float64Array(CHUNK_ROWS);
    switch (node.kind) {
      case "number": {
        out.fill(node.value);
        return () => out;
      }
      case "has": {
        const bits = this.#table.toggles.get(node.component);
        if (!bits) {
          out.fill(this.#table.has(node.component) ? 1 : 0);
          return () => out;
        }
        this.#inputs.push(bits);
        return (from, rows) => {
          for (let i = 0; i < rows; i++) out[i] = bits.has(from + i) ? 1 : 0;
          return out;
        };
      }
      case "column": return this.#column(node.name, node.component, node.lane, out);
      case "norm": {
        const all = node.of.map(of => this.#compile(of));
        return (from, rows) => {
          out.fill(0, 0, rows);
          for (const one of all) {
            const values = one(from, rows);
            for (let i = 0; i < rows; i++) out[i]! += values[i]! * values[i]!;
          }
          for (let i = 0; i < rows; i++) out[i] = Math.sqrt(out[i]!);
          return out;
        };
      }
      case "call": {
        const left = this.#compile(node.of[0]!);
        if (node.of.length === 1) {
          const one = ONE[node.name]!;
          return (from, rows) => {
            const a = left(from, rows);
            for (let i = 0; i < rows; i++) out[i] = one(a[i]!);
            return out;
          };
        }
        const right = this.#compile(node.of[1]!), two = TWO[node.name]!;
        return (from, rows) => {
          const a = left(from, rows), b = right(from, rows);
          for (let i = 0; i < rows; i++) out[i] = two(a[i]!, b[i]!);
          return out;
        };
      }
    }
  }

  /** A field's values: none where the table, or a row of it, lacks the component. */
  #column(name: string, component: string, lane: number, out: Float64Array): Computer {
    const column = this.#table.columns.get(name), bits = this.#table.toggles.get(component);
    if (!column) {
      out.fill(NaN);
      return () => out;
    }
    this.#inputs.push(column);
    if (bits) this.#inputs.push(bits);
    const small = smallNumbers(column.type);
    return (from, rows) => {
      const { data, lanes } = column;
      if (small) for (let i = 0, at = from * lanes + lane; i < rows; i++, at += lanes) out[i] = small(Number(data[at]));
      else for (let i = 0, at = from * lanes + lane; i < rows; i++, at += lanes) out[i] = Number(data[at]);
      if (bits) for (let i = 0; i < rows; i++) if (!bits.has(from + i)) out[i] = NaN;
      return out;
    };
  }
}

/** The computed values of formulas, kept for as long as their tables are. */
export class Workshop {
  #of = new WeakMap<Table, Map<string, Computed>>();

  /** A formula's values in a table, up to date. `boxed`: none outside the subscription's box. */
  values(table: Table, formula: Formula, version: number, boxed = false): Computed {
    let all = this.#of.get(table);
    if (!all) this.#of.set(table, all = new Map());
    const key = `${boxed ? "boxed " : ""}${formula.text}`;
    let computed = all.get(key);
    if (!computed) {
      // those that nobody asks for any more
      if (all.size > 12) all.clear();
      all.set(key, computed = new Computed(table, formula, boxed));
    }
    return computed.refresh(version);
  }

  /** Forgets all: another layout may give names another meaning. */
  clear(): void {
    this.#of = new WeakMap();
  }
}
