//! Entities that are chosen together: who they are, what their numbers come to, and files of them.

import { Column, type Table } from "../view/table.ts";
import { scalarOf, smallNumbers } from "../view/types.ts";
import type { Camera } from "./camera.ts";
import { set } from "./dom.ts";
import { count, digits } from "./format.ts";
import type { Source } from "./gpu.ts";
import { Members, type Rows } from "./members.ts";
import { download } from "./picture.ts";
import type { Batch } from "./points.ts";
import { within, type Shown } from "./sources.ts";

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
/** Rows of a file that are written as one text. */
const ROWS_OF_TEXT = 4096;

/** What a column's values come to; values that are no numbers do not count. */
export interface Sums {
  readonly name: string;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
}

/** The numeric columns of some rows: of an array each value apart; of a toggle those who have it. */
export function sums(of: readonly Rows[]): Sums[] {
  const out = new Map<string, { count: number; sum: number; min: number; max: number }>();
  for (const { table, rows } of of) {
    for (const column of table.columns.values()) {
      if (column.type === "entity" || column.type === "bool") continue;
      const { data, lanes } = column, bits = table.toggles.get(column.component), small = smallNumbers(column.type);
      for (let lane = 0; lane < lanes; lane++) {
        const name = lanes > 1 ? `${column.name}[${lane}]` : column.name, all = out.get(name) ?? { count: 0, sum: 0, min: Infinity, max: -Infinity };
        let { count, sum, min, max } = all;
        for (let i = 0; i < rows.length; i++) {
          const row = rows[i]!;
          if (bits && !bits.has(row)) continue;
          const raw = Number(data[row * lanes + lane]), value = small ? small(raw) : raw;
          if (value !== value) continue;
          count++;
          sum += value;
          if (value < min) min = value;
          if (value > max) max = value;
        }
        if (count > 0) out.set(name, { count, sum, min, max });
      }
    }
  }
  return [...out].map(([name, { count, sum, min, max }]) => ({ name, count, sum, min, mean: sum / count, max }));
}

/** What a cell of a file holds: nothing where the entity has no such thing. */
function cell(column: Column, at: number): string {
  const value = scalarOf(column.type, column.data[at]!);
  // as few digits as say the same again
  return column.type === "f32" ? String(Number((value as number).toPrecision(9))) : String(value);
}

/** The rows as a file of comma-separated values, in parts: the handle, then every column that one of them has. */
export function csv(world: Pick<Shown, "components">, of: readonly Rows[]): string[] {
  const heads: string[] = ["handle"], cells: ((table: Table) => (row: number) => string)[] = [];
  const none = (): string => "";
  for (const { name, fields } of world.components) {
    const tables = of.map(({ table }) => table).filter(table => table.has(name));
    if (tables.length === 0) continue;
    if (fields.length === 0) {
      heads.push(name);
      cells.push(table => {
        const bits = table.toggles.get(name), has = String(table.has(name));
        return bits ? row => String(bits.has(row)) : () => has;
      });
    }
    for (const field of fields) {
      const path = `${name}.${field.name}`, lanes = Math.max(field.length, 1);
      if (!tables.some(table => table.columns.has(path))) continue;
      for (let lane = 0; lane < lanes; lane++) {
        heads.push(field.length > 0 ? `${path}[${lane}]` : path);
        cells.push(table => {
          const column = table.columns.get(path), bits = table.toggles.get(name);
          return column ? row => bits && !bits.has(row) ? "" : cell(column, row * lanes + lane) : none;
        });
      }
    }
  }
  const out = [`${heads.join(",")}\n`];
  for (const { table, rows } of of) {
    const mine = cells.map(cell => cell(table)), { data } = table.handles;
    for (let from = 0; from < rows.length; from += ROWS_OF_TEXT) {
      let text = "";
      for (let i = from; i < Math.min(from + ROWS_OF_TEXT, rows.length); i++) {
        const row = rows[i]!;
        text += String(data[row]);
        for (const cell of mine) text += `,${cell(row)}`;
        text += "\n";
      }
      out.push(text);
    }
  }
  return out;
}

export class Group {
  readonly #members = new Members();
  readonly #changed: () => void;

  /** `changed`: others are chosen. `name`: what files are called, without their end. */
  constructor(changed: () => void, world: () => Shown, name: () => string) {
    this.#changed = changed;
    $("group-clear").onclick = () => this.clear();
    $("group-csv").onclick = () => download(new Blob(csv(world(), this.of(world())), { type: "text/csv" }), `${name()}.csv`);
    $("group-handles").onclick = () => download(new Blob(this.of(world()).flatMap(({ table, rows }) => {
      const out: string[] = [];
      for (let from = 0; from < rows.length; from += ROWS_OF_TEXT) out.push([...rows.subarray(from, from + ROWS_OF_TEXT)].map(row => `${String(table.handles.data[row])}\n`).join(""));
      return out;
    }), { type: "text/plain" }), `${name()}-handles.txt`);
  }

  /** How many were chosen. */
  get size(): number {
    return this.#members.size;
  }

  /** Chooses those who are shown between two corners of the picture, or all; `add`: besides those who are chosen already. */
  choose(batches: readonly Batch[], camera: Camera, corners: readonly [number, number, number, number] | undefined, add: boolean): void {
    if (!add) this.#members.clear();
    this.#members.add(each => within(batches, camera, corners, each));
    this.#changed();
  }

  clear(): void {
    if (this.size === 0) return;
    this.#members.clear();
    this.#changed();
  }

  /** Where the members are now. */
  of(world: Shown): Rows[] {
    return this.#members.of(world.tables);
  }

  /** For each row of a table whether it is a member's; nothing where none is. */
  marks(table: Table): Source | undefined {
    return this.#members.marks(table);
  }

  /** Fills the table at the side. */
  list(world: Shown): void {
    const of = this.of(world), here = of.reduce((sum, { rows }) => sum + rows.length, 0), gone = this.size - here;
    for (const id of ["group-clear", "group-csv", "group-handles"]) $<HTMLButtonElement>(id).disabled = this.size === 0;
    set("group-text", this.size === 0 ? "Drag with Ctrl, or press Box and drag" : `${count(here)} ${here === 1 ? "entity" : "entities"}${gone > 0 ? `, ${count(gone)} more are ${world.tables.some(table => table.inBox) ? "outside, or " : ""}gone` : ""}`);
    const all = sums(of), table = $<HTMLTableElement>("group"), body = table.tBodies[0]!;
    table.hidden = all.length === 0;
    while (body.rows.length > all.length) body.deleteRow(-1);
    all.forEach((one, i) => {
      let row = body.rows[i];
      if (!row) {
        row = body.insertRow();
        const head = document.createElement("th");
        head.scope = "row";
        row.append(head);
        for (let k = 0; k < 4; k++) row.insertCell();
      }
      const values = [one.sum, one.min, one.mean, one.max];
      row.title = `${one.name}: ${count(one.count)} values, sum ${one.sum}, min ${one.min}, mean ${one.mean}, max ${one.max}`;
      [one.name, ...values.map(digits)].forEach((text, k) => {
        const cell = row.cells[k]!;
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
  }
}
