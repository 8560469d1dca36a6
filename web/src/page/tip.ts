//! What is told beside the pointer of the entity there.

import type { Table } from "../view/table.ts";
import type { Computed } from "./computed.ts";
import { handle as handleText, value } from "./format.ts";
import type { Batch } from "./points.ts";
import { placeOf, type Chosen } from "./sources.ts";
import type { View } from "./views.ts";

/** An entity, and where it is. */
export interface Met {
  readonly table: Table;
  readonly row: number;
  readonly handle: bigint;
}

/** Who it is, then the values of the axes and of the colour; `computed`: those of the colour's formula. */
export function tipLines({ table, row, handle }: Met, { x, y, z, colour, formula }: Chosen, computed: Computed | undefined): string[] {
  const values = table.row(row), lines = [`entity ${handleText(handle)}`];
  for (const name of new Set([x, y, z, formula ? "" : colour])) {
    const [base, lane] = name.split("["), found = values.get(base!), shown = Array.isArray(found) ? found[parseInt(lane ?? "0", 10)] : found;
    if (found !== undefined) lines.push(`${name}  ${value(shown, table.columns.get(base!)?.type)}`);
  }
  if (formula && computed) lines.push(`${formula.text}  ${value(computed.data[row], undefined)}`);
  return lines;
}

/** Where an entity is drawn, on the canvas. */
export function placeIn({ camera, left, top }: View, batches: readonly Batch[], { table, row }: Met): [number, number] | undefined {
  const batch = batches.find(batch => batch.table === table), at = batch && camera.project(...placeOf(batch, row));
  return at && [left + at[0], top + at[1]];
}

/** Shows lines beside a place, within the canvas; without lines nothing. */
export function showTip(tip: HTMLElement, lines: readonly string[] | undefined, [x, y]: readonly [number, number], canvas: HTMLElement): void {
  tip.hidden = !lines;
  if (!lines) return;
  const [head = "", ...rest] = lines, b = document.createElement("b");
  b.textContent = head;
  tip.replaceChildren(b, `\n${rest.join("\n")}`);
  const across = x + 14 + tip.offsetWidth > canvas.clientWidth ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.transform = `translate(${Math.round(Math.max(across, 4))}px, ${Math.round(Math.min(Math.max(y - 10, 4), canvas.clientHeight - tip.offsetHeight - 4))}px)`;
}
