//! What is drawn between places: arrows of vectors from the points, and lines from entities to those that a field names.

import { CHUNK_ROWS, type Column, type Table } from "../view/table.ts";
import { holds } from "./expression.ts";
import { rgb } from "./colour.ts";
import { readerOf, type Gpu, type Program, type Source } from "./gpu.ts";
import { HandleMap } from "./handles.ts";
import type { Batch } from "./points.ts";
import { PLACES } from "./shaders.ts";

/** Of more rows only every so-and-so-many-th has an arrow: more would cover one another. */
const ARROWS_MAX = 40_000;

/** How arrows are drawn. */
export interface Arrows {
  /** How long one unit of a vector is, in values. */
  readonly length: number;
}

/** Lines between entities. */
export interface Links {
  /** Both ends of each line: six values; room for more may follow. */
  readonly ends: Float32Array;
  readonly count: number;
  readonly version: number;
  readonly colour: string;
  /** Which of the three values goes right, up, and towards the eye. */
  readonly order: readonly [number, number, number];
}

/** Every how many-th row has an arrow. */
export function arrowStep(batches: readonly Batch[]): number {
  return Math.ceil(batches.reduce((sum, { arrow, table }) => sum + (arrow ? table.rows : 0), 0) / ARROWS_MAX) || 1;
}

/** Draws arrows: the program is in use, and knows its colours. */
export function drawArrows(gpu: Gpu, place: Program["place"], { length }: Arrows, batches: readonly Batch[], matrix: Float32Array, part: { width: number; height: number; ratio: number; version: number }): void {
  const { gl } = gpu, step = arrowStep(batches);
  gl.uniformMatrix4fv(place("matrix"), false, matrix);
  gl.uniform2f(place("half_size"), part.width / 2, part.height / 2);
  gl.uniform1f(place("unit"), length);
  gl.uniform1f(place("ratio"), part.ratio);
  for (const at of Object.values(PLACES)) gl.vertexAttribDivisor(at, 1);
  for (const batch of batches) {
    const { rows } = batch.table, { arrow } = batch;
    if (rows === 0 || !arrow) continue;
    const named = [[PLACES.x, batch.x], [PLACES.y, batch.y], [PLACES.z, batch.z], [PLACES.shown, batch.shown], [PLACES.vx, arrow[0]], [PLACES.vy, arrow[1]], [PLACES.vz, arrow[2]]] as const;
    const sources = batch.plain === undefined ? [...named, [PLACES.value, batch.colour] as const] : named, by = gpu.stepOf(step, sources.map(([, source]) => source));
    for (const [at, source] of sources) gpu.attribute(at, source, rows, part.version, by);
    if (batch.plain === undefined) gl.uniform4f(place("plain"), 0, 0, 0, 0);
    else {
      gl.uniform4f(place("plain"), ...rgb(batch.plain), 1);
      gl.disableVertexAttribArray(PLACES.value);
    }
    for (const at of [PLACES.radius, PLACES.marked, PLACES.opacity]) gl.disableVertexAttribArray(at);
    for (const at of [PLACES.marked, PLACES.opacity]) gl.vertexAttrib1f(at, 1);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, 9, Math.ceil(rows / by));
    gpu.calls++;
  }
  for (const at of [PLACES.vx, PLACES.vy, PLACES.vz]) gl.disableVertexAttribArray(at);
}

/** Draws lines between entities. */
export function drawLinks(gpu: Gpu, { program, place }: Program, { ends, count: lines, version, colour, order }: Links, matrix: Float32Array): void {
  const { gl } = gpu, count = lines * 2;
  if (count === 0) return;
  gl.useProgram(program);
  gl.uniformMatrix4fv(place("matrix"), false, matrix);
  gl.uniform4f(place("plain"), ...rgb(colour), 0.6);
  for (const at of Object.values(PLACES)) {
    gl.vertexAttribDivisor(at, 0);
    if (at > PLACES.z) gl.disableVertexAttribArray(at);
  }
  [PLACES.x, PLACES.y, PLACES.z].forEach((at, k) => gpu.attribute(at, { kind: "floats", data: ends, lanes: 3, lane: order[k]!, version }, count, version));
  gl.drawArrays(gl.LINES, 0, count);
  gpu.calls++;
}

/** How many bits of a place are its row's; the rest are its table's. */
const ROW_BITS = 26;

/** Which entities a field names, and where they are: kept up to date with what is shown. */
export class Linker {
  #map = new HandleMap();
  #tables: readonly Table[] = [];
  #stamp = "";
  #ends = new Float32Array(0);
  #made = "";
  #batches: readonly Batch[] = [];
  #version = 0;
  /** Lines of the last picture. */
  count = 0;

  /** The lines of a field, `component.field`; `version` is the world's. */
  links(batches: readonly Batch[], field: string, version: number, colour: string): Omit<Links, "order"> {
    const same = this.#made === `${field} ${version}` && batches.length === this.#batches.length && batches.every((batch, i) => alike(batch, this.#batches[i]!));
    if (!same) {
      this.#made = `${field} ${version}`;
      this.#batches = batches;
      this.#index(batches);
      this.#gather(batches, field);
    }
    return { ends: this.#ends, count: this.count, version: this.#version, colour };
  }

  /** Where each entity is, where handles have changed since. */
  #index(batches: readonly Batch[]): void {
    const tables = batches.map(batch => batch.table), stamp = tables.map(table => `${newest(table)}/${table.rows}`).join();
    if (stamp === this.#stamp && tables.length === this.#tables.length && tables.every((table, i) => table === this.#tables[i])) return;
    this.#stamp = stamp;
    this.#tables = tables;
    this.#map = new HandleMap(tables.reduce((sum, { rows }) => sum + rows, 0));
    tables.forEach((table, t) => {
      const words = wordsOf(table.handles);
      for (let row = 0; row < table.rows && row < 2 ** ROW_BITS; row++) this.#map.set(words[row * 2]!, words[row * 2 + 1]!, t * 2 ** ROW_BITS + row);
    });
  }

  #gather(batches: readonly Batch[], field: string): void {
    const places = batches.map(({ x, y, z, shown }) => ({ at: [readerOf(x), readerOf(y), readerOf(z)], shown: readerOf(shown) }));
    let count = 0;
    batches.forEach(({ table }, t) => {
      const column = table.columns.get(field), bits = column && table.toggles.get(column.component);
      if (!column || column.type !== "entity") return;
      const words = wordsOf(column), from = places[t]!;
      for (let row = 0; row < table.rows; row++) {
        if (bits && !bits.has(row) || !holds(from.shown(row))) continue;
        for (let lane = 0, at = row * column.lanes * 2; lane < column.lanes; lane++, at += 2) {
          const found = this.#map.get(words[at]!, words[at + 1]!);
          if (found === undefined) continue;
          const to = places[Math.floor(found / 2 ** ROW_BITS)]!, other = found % 2 ** ROW_BITS;
          if (!holds(to.shown(other))) continue;
          if (this.#ends.length < count * 6 + 6) this.#grow();
          for (let k = 0; k < 3; k++) {
            this.#ends[count * 6 + k] = from.at[k]!(row);
            this.#ends[count * 6 + 3 + k] = to.at[k]!(other);
          }
          count++;
        }
      }
    });
    this.count = count;
    this.#version++;
  }

  #grow(): void {
    const grown = new Float32Array(Math.max(this.#ends.length * 2, 6 * 1024));
    grown.set(this.#ends);
    this.#ends = grown;
  }
}

function wordsOf({ bytes }: Column): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
}

/** The version in which a table's handles changed last. */
function newest({ handles, rows }: Table): number {
  let stamp = -1;
  for (let chunk = 0; chunk * CHUNK_ROWS < rows; chunk++) stamp = Math.max(stamp, handles.stamps[chunk]!);
  return stamp;
}

function alike(a: Batch, b: Batch): boolean {
  const same = (a: Source, b: Source): boolean => a.kind === b.kind && (a.kind === "column" ? a.column === (b as typeof a).column && a.lane === (b as typeof a).lane
    : a.kind === "floats" ? a.data === (b as typeof a).data && a.lane === (b as typeof a).lane && a.version === (b as typeof a).version
    : a.kind === "computed" ? a.computed === (b as typeof a).computed : a.kind === "bits" ? a.bits === (b as typeof a).bits : a.value === (b as typeof a).value);
  return a.table === b.table && same(a.x, b.x) && same(a.y, b.y) && same(a.z, b.z) && same(a.shown, b.shown);
}
