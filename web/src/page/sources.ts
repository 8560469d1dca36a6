//! What can be an axis or a colour, and where its values lie in each table.

import type { Predictor } from "../view/predict.ts";
import type { Table } from "../view/table.ts";
import type { World } from "../view/world.ts";
import type { Batch, Source } from "./points.ts";
import type { Bounds } from "./camera.ts";
import { KINDS } from "./colour.ts";

/** Something that can be chosen, and the component that must be received for it. */
export interface Choice {
  readonly name: string;
  readonly component: string;
  readonly kind: "column" | "presence";
}

/** Columns (each value of an array apart), then toggles and tags. */
export function choices(world: World): Choice[] {
  const columns: Choice[] = [], presence: Choice[] = [];
  for (const component of world.components) {
    for (const field of component.fields) {
      if (field.scalar === "entity") continue;
      const name = `${component.name}.${field.name}`;
      for (let k = 0; k < Math.min(Math.max(field.length, 1), 16); k++) {
        columns.push({ name: field.length > 0 ? `${name}[${k}]` : name, component: component.name, kind: "column" });
      }
    }
    if (component.storage === "toggle" || component.fields.length === 0) presence.push({ name: component.name, component: component.name, kind: "presence" });
  }
  return [...columns, ...presence];
}

/** The chosen view. */
export interface Chosen {
  readonly x: string;
  readonly y: string;
  /** Empty: flat. */
  readonly z: string;
  /** Empty: by table. */
  readonly colour: string;
}

function split(name: string): [base: string, lane: number] {
  const match = /^(.+)\[(\d+)\]$/.exec(name);
  return match ? [match[1]!, Number(match[2])] : [name, 0];
}

function source(table: Table, name: string, predictor: Predictor | undefined): Source | undefined {
  const [base, lane] = split(name), column = table.columns.get(base);
  if (column) {
    const data = predictor?.column(base, table);
    if (data) return { kind: "floats", data, lanes: column.lanes, lane, version: predictor!.version };
    return { kind: "column", column, lane };
  }
  const bits = table.toggles.get(base);
  if (bits) return { kind: "bits", bits };
  return undefined;
}

/** The chosen names of which nothing is received: what is held of them is nothing, or old. */
export function missing(chosen: Chosen, received: ReadonlySet<string>): string[] {
  return [...new Set([chosen.x, chosen.y, chosen.z, chosen.colour])].filter(name => name !== "" && !received.has(componentOf(name)));
}

function componentOf(name: string): string {
  return name.split(".")[0]!;
}

/** The tables that have the axes, with where their values are; `received`: the components that the server sends. */
export function batches(world: World, chosen: Chosen, predictor: Predictor | undefined, received: ReadonlySet<string>): Batch[] {
  if (missing({ ...chosen, colour: "" }, received).length > 0) return [];
  const out: Batch[] = [];
  const components = new Set(world.components.filter(component => component.fields.length === 0).map(component => component.name));
  world.tables.forEach((table, i) => {
    const x = source(table, chosen.x, predictor), y = source(table, chosen.y, predictor);
    const z = chosen.z === "" ? { kind: "constant", value: 0 } as const : source(table, chosen.z, predictor);
    if (!x || !y || !z) return;
    let plain: string | undefined, colour: Source = { kind: "constant", value: 0 };
    if (chosen.colour === "") plain = KINDS[i % KINDS.length]!;
    else if (!received.has(componentOf(chosen.colour))) plain = "#8a93a3";
    else {
      const found = source(table, chosen.colour, undefined);
      if (found) colour = found;
      else if (components.has(chosen.colour)) colour = { kind: "constant", value: table.has(chosen.colour) ? 1 : 0 };
      else plain = "#8a93a3";
    }
    out.push({ table, x, y, z, colour, plain });
  });
  return out;
}

/** The tables by their colours, where they are coloured by table. */
export function tableColour(world: World, table: Table): string {
  return KINDS[Math.max(0, world.tables.indexOf(table)) % KINDS.length]!;
}

/** A row's value is `data[row * stride + offset]`. */
interface Plain {
  readonly data: ArrayLike<number>;
  readonly stride: number;
  readonly offset: number;
}

function plain(source: Source): Plain | undefined {
  switch (source.kind) {
    case "constant": return { data: Float32Array.of(source.value), stride: 0, offset: 0 };
    case "floats": return { data: source.data, stride: source.lanes, offset: source.lane };
    case "bits": return undefined;
    case "column": {
      const { data, lanes } = source.column;
      if (!(data instanceof BigInt64Array || data instanceof BigUint64Array)) return { data, stride: lanes, offset: source.lane };
      // converted for the few looks that are taken at them
      const out = new Float64Array(data.length);
      for (let i = 0; i < data.length; i++) out[i] = Number(data[i]);
      return { data: out, stride: lanes, offset: source.lane };
    }
  }
}

/** The smallest box around all points; of very many, around a part. */
export function boundsOf(all: readonly Batch[]): Bounds | undefined {
  const bounds: Bounds = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
  for (const batch of all) {
    const axes = [plain(batch.x), plain(batch.y), plain(batch.z)];
    const step = Math.max(1, Math.floor(batch.table.rows / 100_000));
    axes.forEach((axis, k) => {
      if (!axis) return;
      let low = bounds[k]!, high = bounds[k + 3]!;
      for (let row = 0; row < batch.table.rows; row += step) {
        const value = axis.data[row * axis.stride + axis.offset]!;
        if (value < low && value > -Infinity) low = value;
        if (value > high && value < Infinity) high = value;
      }
      bounds[k] = low;
      bounds[k + 3] = high;
    });
  }
  for (let k = 0; k < 3; k++) if (!(bounds[k]! <= bounds[k + 3]!)) return undefined;
  return bounds;
}

/** Between which values almost all lie: the outermost hundredth at each end is left out. */
export function rangeOf(all: readonly Batch[]): [number, number] | undefined {
  const sample: number[] = [];
  let rows = 0;
  for (const batch of all) if (batch.plain === undefined) rows += batch.table.rows;
  for (const batch of all) {
    if (batch.plain !== undefined) continue;
    if (batch.colour.kind === "constant" || batch.colour.kind === "bits") return [0, 1];
    const { column, lane } = batch.colour as Extract<Source, { kind: "column" }>, step = Math.max(1, Math.floor(rows / 4000));
    for (let row = 0; row < batch.table.rows; row += step) {
      const value = Number(column.data[row * column.lanes + lane]);
      if (Number.isFinite(value)) sample.push(value);
    }
  }
  if (sample.length === 0) return undefined;
  const sorted = Float64Array.from(sample).sort();
  return [sorted[Math.floor(sorted.length * 0.01)]!, sorted[Math.ceil(sorted.length * 0.99) - 1]!];
}

/** The point nearest to a pixel, not farther than `reach` pixels. */
export function pick(all: readonly Batch[], matrix: Float32Array, width: number, height: number, px: number, py: number, reach: number): { table: Table; row: number } | undefined {
  const [m0, m1, , m3, m4, m5, , m7, m8, m9, , m11, m12, m13, , m15] = [...matrix] as [number, number, number, number, number, number, number, number, number, number, number, number, number, number, number, number];
  const nx = px / width * 2 - 1, ny = 1 - py / height * 2, sx = width / 2, sy = height / 2;
  let best = reach * reach, found: { table: Table; row: number } | undefined;
  for (const batch of all) {
    const ax = plain(batch.x), ay = plain(batch.y), az = plain(batch.z);
    if (!ax || !ay || !az) continue;
    const { rows } = batch.table, xs = ax.data, ys = ay.data, zs = az.data, sxs = ax.stride, sys = ay.stride, szs = az.stride;
    for (let row = 0, i = ax.offset, j = ay.offset, k = az.offset; row < rows; row++, i += sxs, j += sys, k += szs) {
      const x = xs[i]!, y = ys[j]!, z = zs[k]!, w = m3 * x + m7 * y + m11 * z + m15;
      if (w <= 0) continue;
      const dx = ((m0 * x + m4 * y + m8 * z + m12) / w - nx) * sx, dy = ((m1 * x + m5 * y + m9 * z + m13) / w - ny) * sy;
      const distance = dx * dx + dy * dy;
      if (distance < best) {
        best = distance;
        found = { table: batch.table, row };
      }
    }
  }
  return found;
}

/** Where a row is drawn. */
export function placeOf(batch: Batch, row: number): [number, number, number] {
  const at = (source: Source): number => {
    const values = plain(source);
    return values ? values.data[row * values.stride + values.offset]! : 0;
  };
  return [at(batch.x), at(batch.y), at(batch.z)];
}
