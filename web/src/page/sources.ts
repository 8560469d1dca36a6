//! What can be an axis or a colour, and where its values lie in each table.

import type { Predictor } from "../view/predict.ts";
import type { Table } from "../view/table.ts";
import type { World } from "../view/world.ts";
import { numberOf, smallNumbers } from "../view/types.ts";
import type { Bounds, Camera } from "./camera.ts";
import type { Workshop } from "./computed.ts";
import { holds, type Formula } from "./expression.ts";
import { readerOf, type Source } from "./gpu.ts";
import { arrowStep } from "./lines.ts";
import type { Batch } from "./points.ts";
import { KINDS } from "./colour.ts";

/** A world that can be shown: what is received, or what was kept of it. */
export type Shown = Pick<World, "tables" | "components" | "columns" | "entities" | "generation" | "frame" | "time" | "version" | "resource" | "resources" | "resourceLayouts">;

/** Something that can be chosen, and the component that must be received for it. */
export interface Choice {
  readonly name: string;
  readonly component: string;
  readonly kind: "column" | "norm" | "presence";
}

/** Columns (each value of an array apart), then lengths of vectors, then toggles and tags. */
export function choices(world: Shown): Choice[] {
  const columns: Choice[] = [], norms: Choice[] = [], presence: Choice[] = [];
  for (const component of world.components) {
    const [first, ...others] = component.fields, values = component.fields.reduce((sum, field) => sum + Math.max(field.length, 1), 0);
    const vector = first && FLOATS.includes(first.scalar) && others.every(field => field.scalar === first.scalar);
    if (vector && values > 1 && values <= 4) norms.push({ name: `|${component.name}|`, component: component.name, kind: "norm" });
    for (const field of component.fields) {
      if (field.scalar === "entity") continue;
      const name = `${component.name}.${field.name}`;
      for (let k = 0; k < Math.min(Math.max(field.length, 1), 16); k++) {
        columns.push({ name: field.length > 0 ? `${name}[${k}]` : name, component: component.name, kind: "column" });
      }
    }
    if (component.storage === "toggle" || component.fields.length === 0) presence.push({ name: component.name, component: component.name, kind: "presence" });
  }
  return [...columns, ...norms, ...presence];
}

const FLOATS: readonly string[] = ["f32", "f64", "f16", "bf16", "snorm8", "snorm16"];

/** What has the two or three numbers of a vector, each a column's name: components whose fields they are, and array fields. */
export function vectors(world: Shown): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const { name, fields } of world.components) {
    const all = fields.filter(({ scalar, length }) => FLOATS.includes(scalar) && length === 0).map(field => `${name}.${field.name}`);
    if (all.length === fields.length && (all.length === 2 || all.length === 3)) out.set(name, all);
    for (const { name: field, scalar, length } of fields) {
      if (FLOATS.includes(scalar) && (length === 2 || length === 3)) out.set(`${name}.${field}`, Array.from({ length }, (_, lane) => `${name}.${field}[${lane}]`));
    }
  }
  return out;
}

/** The fields that name other entities. */
export function linkFields(world: Shown): string[] {
  return world.components.flatMap(({ name, fields }) => fields.filter(({ scalar }) => scalar === "entity").map(field => `${name}.${field.name}`));
}

/** Which of a vector's numbers goes along an axis: the one of the same letter or place, else the one in its turn. */
export function along(parts: readonly string[], axis: string, turn: number): string | undefined {
  const place = (name: string): number => {
    const [, letter, lane] = /(?:[._]([xyz])|\[(\d)\])$/.exec(name) ?? [];
    return letter !== undefined ? "xyz".indexOf(letter) : lane !== undefined ? Number(lane) : -1;
  };
  const wanted = place(axis);
  return parts.find(part => wanted >= 0 && place(part) === wanted) ?? (wanted < 0 ? parts[turn] : undefined);
}

/** The chosen view. */
export interface Chosen {
  readonly x: string;
  readonly y: string;
  /** Empty: flat. */
  readonly z: string;
  /** Empty: by table. */
  readonly colour: string;
  /** What `colour` is where it is no column and no component. */
  readonly formula: Formula | undefined;
  /** Only entities for which it holds are shown. */
  readonly filter: Formula | undefined;
  /** Spheres' radius in values: a formula, or one for all. */
  readonly radius: Formula | number;
  /** From 0, which is not shown, to 1; all are 1 where there is none. */
  readonly opacity: Formula | undefined;
  /** The numbers of the vectors that are drawn as arrows; empty: none are. */
  readonly arrows: readonly string[];
  /** The field whose entities lines go to; empty: there are none. */
  readonly links: string;
  /** Tables that are not shown, by {@link tableName}. */
  readonly hidden: ReadonlySet<string>;
}

/** A table by its components, which say what it is from run to run. */
export function tableName(table: Table): string {
  return table.components.join(" · ") || "no components";
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

/** The components that a chosen view reads. */
export function componentsOf(chosen: Chosen): string[] {
  const { x, y, z, colour, formula, filter, radius, opacity, arrows, links } = chosen, names = [x, y, z, ...arrows, links, ...(formula ? [] : [colour])];
  const formulas = [formula, filter, opacity, typeof radius === "number" ? undefined : radius];
  return [...new Set([...names.filter(name => name !== "").map(componentOf), ...formulas.flatMap(formula => formula?.components ?? [])])];
}

/** The chosen names of which nothing is received: what is held of them is nothing, or old. */
export function missing(chosen: Chosen, received: ReadonlySet<string>): string[] {
  const { formula, filter } = chosen, names = [chosen.x, chosen.y, chosen.z, ...(formula ? [] : [chosen.colour])];
  const formulas = [formula, filter].filter(formula => formula?.components.some(name => !received.has(name))).map(formula => formula!.text);
  return [...new Set([...names.filter(name => name !== "" && !received.has(componentOf(name))), ...formulas])];
}

function componentOf(name: string): string {
  return name.split(".")[0]!;
}

const NOUGHT: Source = { kind: "constant", value: 0 };
const OPAQUE: Source = { kind: "constant", value: 1 };

/** The tables that have the axes, with where their values are; `received`: the components that the server sends. */
export function batches(world: Shown, chosen: Chosen, predictor: Predictor | undefined, received: ReadonlySet<string>, workshop: Workshop): Batch[] {
  if (missing({ ...chosen, colour: "", formula: undefined, filter: undefined }, received).length > 0) return [];
  const out: Batch[] = [], { formula, filter, radius, opacity } = chosen;
  const tags = new Set(world.components.filter(component => component.fields.length === 0).map(component => component.name));
  const parts = [chosen.x, chosen.y, chosen.z].map((axis, turn) => axis === "" ? undefined : along(chosen.arrows, axis, turn));
  const known = chosen.arrows.every(name => received.has(componentOf(name)));
  const computed = (table: Table, formula: Formula, boxed = false): Source => ({ kind: "computed", computed: workshop.values(table, formula, world.version, boxed) });
  world.tables.forEach((table, i) => {
    const x = source(table, chosen.x, predictor), y = source(table, chosen.y, predictor);
    const z = chosen.z === "" ? { kind: "constant", value: 0 } as const : source(table, chosen.z, predictor);
    if (!x || !y || !z || chosen.hidden.has(tableName(table))) return;
    let plain: string | undefined, colour: Source = { kind: "constant", value: 0 };
    if (chosen.colour === "") plain = KINDS[i % KINDS.length]!;
    else if (formula) {
      if (formula.components.every(name => received.has(name))) colour = computed(table, formula);
      else plain = "#8a93a3";
    } else if (!received.has(componentOf(chosen.colour))) plain = "#8a93a3";
    else {
      const found = source(table, chosen.colour, undefined);
      if (found) colour = found;
      else if (tags.has(chosen.colour)) colour = { kind: "constant", value: table.has(chosen.colour) ? 1 : 0 };
      else plain = "#8a93a3";
    }
    const shown: Source = filter ? computed(table, filter, true) : table.inBox ? { kind: "bits", bits: table.inBox } : { kind: "constant", value: 1 };
    const [ax, ay, az] = parts.map(part => part === undefined ? NOUGHT : source(table, part, predictor));
    const arrow = known && parts.some(part => part !== undefined) && ax && ay && az ? [ax, ay, az] as const : undefined;
    out.push({ table, x, y, z, colour, plain, shown, ...(arrow ? { arrow } : {}), radius: typeof radius === "number" ? { kind: "constant", value: radius } : computed(table, radius), opacity: opacity ? computed(table, opacity) : OPAQUE });
  });
  return out;
}

/** The tables by their colours, where they are coloured by table. */
export function tableColour(world: Shown, table: Table): string {
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
    case "computed": return { data: source.computed.data, stride: 1, offset: 0 };
    case "floats": return { data: source.data, stride: source.lanes, offset: source.lane };
    case "bits": return undefined;
    case "column": {
      const { data, lanes, type } = source.column;
      if (!(data instanceof BigInt64Array || data instanceof BigUint64Array || smallNumbers(type))) return { data, stride: lanes, offset: source.lane };
      // converted for the few looks that are taken at them
      const out = new Float64Array(data.length);
      for (let i = 0; i < data.length; i++) out[i] = numberOf(type, data[i]!);
      return { data: out, stride: lanes, offset: source.lane };
    }
  }
}

/** One row's value. */
function valueAt(source: Source, row: number): number {
  return readerOf(source)(row);
}

/** How many entities a batch shows. */
export function countShown(batch: Batch): number {
  if (batch.shown.kind === "constant") return batch.table.rows;
  const shown = readerOf(batch.shown);
  let sum = 0;
  for (let row = 0; row < batch.table.rows; row++) if (holds(shown(row))) sum++;
  return sum;
}

/** The smallest box around all points that are shown; of very many, around a part. */
export function boundsOf(all: readonly Batch[]): Bounds | undefined {
  const bounds: Bounds = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
  for (const batch of all) {
    const axes = [plain(batch.x), plain(batch.y), plain(batch.z)], { rows } = batch.table, shown = readerOf(batch.shown);
    // filtered, the few that are left may be any
    const step = batch.shown.kind === "constant" ? Math.max(1, Math.floor(rows / 100_000)) : 1;
    axes.forEach((axis, k) => {
      if (!axis) return;
      let low = bounds[k]!, high = bounds[k + 3]!;
      for (let row = 0; row < rows; row += step) {
        const value = axis.data[row * axis.stride + axis.offset]!;
        if (value >= low && value <= high || !holds(shown(row))) continue;
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

/** Some thousands of the colour's values of what is shown, sorted; without those that are no numbers. */
export function sampleOf(all: readonly Batch[]): Float64Array | undefined {
  const sample: number[] = [];
  let rows = 0;
  for (const batch of all) if (batch.plain === undefined) rows += batch.table.rows;
  const step = Math.max(1, Math.floor(rows / 8000));
  for (const batch of all) {
    if (batch.plain !== undefined) continue;
    const colour = readerOf(batch.colour), shown = readerOf(batch.shown);
    for (let row = 0; row < batch.table.rows; row += step) {
      const value = colour(row);
      if (Number.isFinite(value) && holds(shown(row))) sample.push(value);
    }
  }
  return sample.length > 0 ? Float64Array.from(sample).sort() : undefined;
}

/** Between which values almost all lie: the outermost hundredth at each end is left out. With `positive` of those above 0. */
export function rangeOf(sorted: Float64Array | undefined, positive: boolean): [number, number] | undefined {
  const from = positive && sorted ? sorted.findIndex(value => value > 0) : 0;
  if (!sorted || from < 0) return undefined;
  const count = sorted.length - from;
  return [sorted[from + Math.floor(count * 0.01)]!, sorted[from + Math.ceil(count * 0.99) - 1]!];
}

/** A length for arrows to begin with: nine in ten are not longer than this times two distances between neighbours. */
export function arrowLength(all: readonly Batch[]): number {
  const sizes: number[] = [], rows = all.reduce((sum, { table, arrow }) => sum + (arrow ? table.rows : 0), 0), step = Math.max(1, Math.floor(rows / 4000));
  for (const { arrow, table } of all) {
    if (!arrow) continue;
    const [x, y, z] = arrow.map(readerOf) as [(row: number) => number, (row: number) => number, (row: number) => number];
    for (let row = 0; row < table.rows; row += step) sizes.push(Math.hypot(x(row), y(row), z(row)));
  }
  const large = sizes.filter(size => size > 0 && size < Infinity).sort((a, b) => a - b).at(-Math.ceil(sizes.length * 0.1)) ?? 0;
  return large > 0 ? 2 * spacing(all) * Math.cbrt(arrowStep(all)) / large : 1;
}

/** A typical distance between neighbours, if all were spread evenly over the box: a third of it is a radius to begin with. */
export function spacing(all: readonly Batch[]): number {
  const bounds = boundsOf(all), rows = all.reduce((sum, { table }) => sum + table.rows, 0);
  if (!bounds || rows === 0) return 1;
  const sides = [0, 1, 2].map(k => bounds[k + 3]! - bounds[k]!).filter(side => side > 0);
  const volume = sides.reduce((product, side) => product * side, 1);
  return sides.length === 0 ? 1 : (volume / rows) ** (1 / sides.length);
}

/** The entity at a pixel: the foremost sphere there, else the nearest point, not farther than `reach` pixels. */
export function pick(all: readonly Batch[], camera: Camera, spheres: boolean, px: number, py: number, reach: number): { table: Table; row: number } | undefined {
  const matrix = camera.matrix(), { width, height } = camera, unit = camera.pixels() * (camera.orbit ? camera.distance : 1);
  const [m0, m1, , m3, m4, m5, , m7, m8, m9, , m11, m12, m13, , m15] = [...matrix] as [number, number, number, number, number, number, number, number, number, number, number, number, number, number, number, number];
  const nx = px / width * 2 - 1, ny = 1 - py / height * 2, sx = width / 2, sy = height / 2;
  let best = reach * reach, nearest = Infinity, found: { table: Table; row: number } | undefined;
  for (const batch of all) {
    const ax = plain(batch.x), ay = plain(batch.y), az = plain(batch.z);
    if (!ax || !ay || !az) continue;
    const { rows } = batch.table, shown = readerOf(batch.shown), radiusAt = readerOf(batch.radius), xs = ax.data, ys = ay.data, zs = az.data, sxs = ax.stride, sys = ay.stride, szs = az.stride;
    for (let row = 0, i = ax.offset, j = ay.offset, k = az.offset; row < rows; row++, i += sxs, j += sys, k += szs) {
      const x = xs[i]!, y = ys[j]!, z = zs[k]!, w = m3 * x + m7 * y + m11 * z + m15;
      if (w <= 0) continue;
      const dx = ((m0 * x + m4 * y + m8 * z + m12) / w - nx) * sx, dy = ((m1 * x + m5 * y + m9 * z + m13) / w - ny) * sy;
      const distance = dx * dx + dy * dy, radius = spheres ? radiusAt(row) * unit / w : 0;
      if (spheres && distance <= radius * radius ? w > nearest : nearest < Infinity || !(distance < best)) continue;
      if (!holds(shown(row))) continue;
      if (spheres && distance <= radius * radius) nearest = w;
      else best = distance;
      found = { table: batch.table, row };
    }
  }
  return found;
}

/** Calls `each` with every entity that is shown and whose middle lies between two corners of the picture; without corners with all that are shown. */
export function within(all: readonly Batch[], camera: Camera, corners: readonly [number, number, number, number] | undefined, each: (table: Table, row: number) => void): void {
  const [m0, m1, , m3, m4, m5, , m7, m8, m9, , m11, m12, m13, , m15] = [...camera.matrix()] as [number, number, number, number, number, number, number, number, number, number, number, number, number, number, number, number];
  const [left, top, right, bottom] = corners ?? [0, 0, 0, 0], x0 = left / camera.width * 2 - 1, x1 = right / camera.width * 2 - 1, y0 = 1 - bottom / camera.height * 2, y1 = 1 - top / camera.height * 2;
  for (const batch of all) {
    const px = readerOf(batch.x), py = readerOf(batch.y), pz = readerOf(batch.z), shown = readerOf(batch.shown), { table } = batch;
    for (let row = 0; row < table.rows; row++) {
      if (corners) {
        const x = px(row), y = py(row), z = pz(row), w = m3 * x + m7 * y + m11 * z + m15, cx = (m0 * x + m4 * y + m8 * z + m12) / w, cy = (m1 * x + m5 * y + m9 * z + m13) / w;
        if (!(w > 0 && cx >= x0 && cx <= x1 && cy >= y0 && cy <= y1)) continue;
      }
      if (holds(shown(row))) each(table, row);
    }
  }
}

/** Where a row is drawn. */
export function placeOf(batch: Batch, row: number): [number, number, number] {
  return [valueAt(batch.x, row), valueAt(batch.y, row), valueAt(batch.z, row)];
}

/** A row's radius, where spheres are drawn. */
export function radiusOf(batch: Batch, row: number): number {
  return valueAt(batch.radius, row);
}
