//! The list of tables: what is shown of them, and how much.

import type { Table } from "../view/table.ts";
import { rows, set } from "./dom.ts";
import { count } from "./format.ts";
import type { Panel } from "./panel.ts";
import type { Batch } from "./points.ts";
import { countShown, tableName, type Shown } from "./sources.ts";

export class Tables {
  readonly #panel: Panel;

  constructor(panel: Panel) {
    this.#panel = panel;
  }

  /** The tables with their names: shown or not, with how many of their entities the filter leaves. */
  show(world: Shown, batches: readonly Batch[]): void {
    const { chosen } = this.#panel, list = document.getElementById("tables") as HTMLTableElement, names = [...new Set(world.tables.map(tableName))];
    // those of several ranks have one name
    const sum = (name: string, of: (table: Table) => number): number => world.tables.reduce((sum, table) => sum + (tableName(table) === name ? of(table) : 0), 0);
    const shown = chosen.filter ? new Map(batches.map(batch => [batch.table, countShown(batch)])) : undefined;
    const told = (name: string): string => {
      const out = sum(name, table => table.rows - table.rowsShown), kept = out > 0 ? `, ${count(out)} outside` : "";
      const all = count(sum(name, table => table.rowsShown)) + kept, has = world.tables.some(table => tableName(table) === name && shown?.has(table));
      return has ? `${count(sum(name, table => shown!.get(table) ?? 0))} of ${all}` : all;
    };
    rows(list, names.map(name => [name, told(name)]), (cell, name) => {
      const box = cell.querySelector("input") ?? this.#box(cell, name);
      box.checked = !chosen.hidden.has(name);
    });
    const all = batches.reduce((sum, batch) => sum + (shown?.get(batch.table) ?? batch.table.rowsShown), 0);
    set("filter-text", chosen.filter ? `${count(all)} of ${count(world.entities.count)} entities are shown` : "");
  }

  #box(cell: HTMLTableCellElement, name: string): HTMLInputElement {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.onchange = () => this.#panel.toggle(box.dataset["name"] ?? name, box.checked);
    label.append(box, ...cell.childNodes);
    cell.append(label);
    return box;
  }
}
