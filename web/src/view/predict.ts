//! Prediction: a declared kernel runs between server frames, into columns of its own, and reconciles with every state
//! that comes.
//!
//! Invariants: the world's own columns are never written; after each update the predicted state is the server's, with
//! everything replayed that the server does not know yet; what is kept for that is bounded.

import { ViewError } from "./errors.ts";
import { CHUNK_ROWS, type Table } from "./table.ts";
import type { World } from "./world.ts";

/** A float column. */
export type Floats = Float32Array | Float64Array;

/** What a kernel sees of one table: its rows alone. */
export interface KernelJob {
  readonly rows: number;
  /** The step of simulated time. */
  readonly dt: number;
  readonly table: Table;
  /** Predicted columns, to be changed in place. */
  readonly write: Readonly<Record<string, Floats>>;
  /** Columns as the server sent them. */
  readonly read: Readonly<Record<string, Floats>>;
}

/** What is predicted, and how. */
export interface Kernel {
  /** Float columns that the kernel changes. Tables that lack one of all named columns are left alone. */
  readonly writes: readonly string[];
  /** Float columns that it reads and leaves alone. */
  readonly reads: readonly string[];
  step(job: KernelJob): void;
  /** What an input does to the state. */
  input?(job: KernelJob, input: unknown): void;
}

export interface PredictOptions {
  /** How the shown state goes over to the corrected one: at once, or within about `smoothSeconds`. Default: smooth. */
  readonly reconcile?: "snap" | "smooth";
  /** The time in which a correction fades to a third, seconds of the clock; default 0.1. */
  readonly smoothSeconds?: number;
  /** Predict at most so far ahead of the server's state, simulated time; default 0.5. */
  readonly aheadMax?: number;
}

/** Steps and inputs that are kept for a replay. */
const HISTORY_MAX = 256;
/** A correction of which no more than this part is left is over. */
const LEFT_MIN = 1e-3;

type Event =
  | { readonly kind: "step"; readonly dt: number; readonly end: number }
  | { readonly kind: "input"; readonly sequence: number; readonly input: unknown; readonly end: number };

/** A table's predicted state. Arrays have room for more than the rows. */
interface Part {
  readonly table: Table;
  readonly rows: number;
  readonly room: number;
  readonly handles: Uint32Array;
  readonly state: Record<string, Floats>;
  readonly shown: Record<string, Floats>;
  /** What a smooth correction took back at first: shown = state + what is left of it. */
  readonly offset: Record<string, Float32Array>;
}

export class Predictor {
  /** Simulated time that the predicted state stands at. */
  time = 0;
  /** The last reconciliation: how far the prediction was off, in the columns' units. */
  errorMax = 0;
  errorRms = 0;
  /** Reconciliations so far. */
  reconciled = 0;
  /** One more with every change of the shown columns. */
  version = 0;
  readonly #world: World;
  readonly #kernel: Kernel;
  readonly #smooth: number;
  readonly #aheadMax: number;
  #parts: Part[] = [];
  /** Of the states before these: their arrays are used again. */
  readonly #spare = new WeakMap<Table, Part>();
  #history: Event[] = [];
  #worldVersion = -1;
  /** The part of the last correction that is left; 0 where it is over. */
  #left = 0;
  /** Whether the shown columns are to be made anew. */
  #stale = false;

  constructor(world: World, kernel: Kernel, options: PredictOptions = {}) {
    if (kernel.writes.length === 0) throw new ViewError("a kernel that writes nothing");
    for (const name of [...kernel.writes, ...kernel.reads]) {
      const spec = world.columns.get(name);
      if (!spec) throw new ViewError(`there is no column ${name}`);
      if (spec.type !== "f32" && spec.type !== "f64") throw new ViewError(`${name} is ${spec.type}; kernels take f32 and f64`);
    }
    this.#world = world;
    this.#kernel = kernel;
    this.#smooth = options.reconcile === "snap" ? 0 : options.smoothSeconds ?? 0.1;
    this.#aheadMax = options.aheadMax ?? 0.5;
  }

  /**
   * The predicted column in a table: what to show. `undefined` where the table is not predicted. Take it anew after each
   * step, input and reconciliation: its values are made when it is asked for.
   */
  column(name: string, table: Table): Floats | undefined {
    if (this.#stale) this.#show();
    return this.#parts.find(part => part.table === table)?.shown[name];
  }

  /** Inputs that the server has not confirmed. */
  get pendingInputs(): number {
    return this.#history.filter(event => event.kind === "input").length;
  }

  /** Runs the kernel over simulated time `dt`, after `seconds` of the clock. Call once per drawn frame. */
  step(dt: number, seconds = dt): void {
    if (this.time + dt - this.#world.time > this.#aheadMax) dt = Math.max(0, this.#world.time + this.#aheadMax - this.time);
    if (dt > 0) {
      this.time += dt;
      this.#remember({ kind: "step", dt, end: this.time });
      for (const part of this.#parts) this.#run(part, dt);
    }
    this.#fade(seconds);
  }

  /** Applies an input now, and again after each reconciliation until the server has it. `sequence` is `send`'s. */
  input(sequence: number, input: unknown): void {
    this.#remember({ kind: "input", sequence, input, end: this.time });
    for (const part of this.#parts) this.#kernel.input?.(this.#job(part, 0), input);
    this.#changed();
  }

  /** Takes the server's new state in. Call after each update, with the newest input that the state contains. */
  reconcile(acknowledgedInput = 0): void {
    const since = this.#worldVersion;
    if (since === this.#world.version) return;
    this.#worldVersion = this.#world.version;
    const before = new Map(this.#parts.map(part => [part.table, part]));
    const to = this.#world.time;
    // another time altogether: nothing that was predicted belongs to it
    if (this.time - to > 2 * this.#aheadMax) this.#history = this.#history.filter(event => event.kind === "input");
    const steps = this.#history;
    // the old prediction of the new state's own time, where the new one is ahead of it
    if (to > this.time && to - this.time <= this.#aheadMax) for (const part of this.#parts) this.#run(part, to - this.time);
    this.#history = steps.flatMap((event): Event[] => {
      if (event.kind === "input") return event.sequence > acknowledgedInput ? [event] : [];
      const dt = Math.min(event.dt, event.end - to);
      return dt > 0 ? [{ ...event, dt }] : [];
    });
    this.time = this.#history.reduce((time, event) => event.kind === "step" ? Math.max(time, event.end) : time, to);
    let sum = 0, count = 0, max = 0;
    this.#parts = [];
    for (const table of this.#world.tables) {
      const part = this.#fresh(table, before.get(table), since);
      if (!part) continue;
      this.#parts.push(part);
      for (const event of this.#history) {
        if (event.kind === "step") this.#run(part, event.dt);
        else this.#kernel.input?.(this.#job(part, 0), event.input);
      }
      const old = before.get(table);
      if (old) {
        const error = this.#compare(part, old);
        sum += error.sum;
        count += error.count;
        max = Math.max(max, error.max);
      }
    }
    this.errorMax = max;
    this.errorRms = count > 0 ? Math.sqrt(sum / count) : 0;
    this.reconciled++;
    this.#left = this.#smooth > 0 && (max > 0 || this.#left > 0) ? 1 : 0;
    this.#changed();
  }

  #remember(event: Event): void {
    this.#history.push(event);
    if (this.#history.length <= HISTORY_MAX) return;
    // the oldest steps become one; an input that was never confirmed goes
    const [first, second, ...rest] = this.#history as [Event, Event, ...Event[]];
    this.#history = first.kind === "step" && second.kind === "step" ? [{ kind: "step", dt: first.dt + second.dt, end: second.end }, ...rest] : [second, ...rest];
  }

  #job(part: Part, dt: number): KernelJob {
    const read: Record<string, Floats> = {};
    for (const name of this.#kernel.reads) read[name] = part.table.columns.get(name)!.data as Floats;
    return { rows: part.rows, dt, table: part.table, write: part.state, read };
  }

  #run(part: Part, dt: number): void {
    // the table may have changed since: the state that says so is about to be taken in
    if (part.rows > part.table.capacity || this.#kernel.reads.some(name => !part.table.columns.has(name))) return;
    this.#kernel.step(this.#job(part, dt));
  }

  /** The server's state of a table as the start of a prediction; arrays of the part before are used again. */
  #fresh(table: Table, old: Part | undefined, since: number): Part | undefined {
    if ([...this.#kernel.writes, ...this.#kernel.reads].some(name => !table.columns.has(name))) return undefined;
    const { rows } = table, room = Math.ceil(table.capacity / CHUNK_ROWS) * CHUNK_ROWS, spare = this.#spare.get(table);
    const again = spare?.room === room ? spare : undefined, shownBefore = old?.room === room ? old.shown : undefined;
    const state: Record<string, Floats> = {}, shown: Record<string, Floats> = {}, offset: Record<string, Float32Array> = {};
    for (const name of this.#kernel.writes) {
      const { data, lanes, type } = table.columns.get(name)!, make = (): Floats => type === "f32" ? new Float32Array(room * lanes) : new Float64Array(room * lanes);
      state[name] = again?.state[name] ?? make();
      (state[name] as Float64Array).set(data.subarray(0, rows * lanes) as Float64Array);
      shown[name] = shownBefore?.[name] ?? make();
      offset[name] = again?.offset[name] ?? new Float32Array(this.#smooth > 0 ? room * lanes : 0);
      if (!old) offset[name].fill(0);
    }
    let handles: Uint32Array;
    if (old?.room === room && old.rows === rows && !changed(table.handles.stamps, since, rows)) handles = old.handles;
    else {
      // parts whose rows stayed as they were have it together
      handles = again && again.handles !== old?.handles ? again.handles : new Uint32Array(room * 2);
      handles.set(new Uint32Array(table.handles.bytes.buffer, 0, rows * 2));
    }
    if (old) this.#spare.set(table, old);
    return { table, rows, room, handles, state, shown, offset };
  }

  /** How far the old prediction is from the new one, in rows of the same entity; and what a smooth change takes back. */
  #compare(part: Part, old: Part): Difference {
    const total: Difference = { sum: 0, count: 0, max: 0 }, rows = Math.min(part.rows, old.rows);
    const same = part.handles === old.handles ? [0, rows] : sameRows(part.handles, old.handles, rows);
    for (const name of this.#kernel.writes) {
      const { lanes } = part.table.columns.get(name)!, offset = part.offset[name]!;
      const one = this.#smooth > 0
        ? smoothDifference(part.state[name]!, old.state[name]!, same, lanes, offset, old.offset[name]!, this.#left)
        : difference(part.state[name]!, old.state[name]!, same, lanes);
      if (this.#smooth > 0) clearBetween(offset, same, lanes, part.rows);
      total.sum += one.sum;
      total.count += one.count;
      total.max = Math.max(total.max, one.max);
    }
    return total;
  }

  /** Lets the last correction fade. */
  #fade(seconds: number): void {
    this.#left *= Math.exp(-seconds / this.#smooth);
    if (!(this.#left > LEFT_MIN)) this.#left = 0;
    this.#changed();
  }

  #changed(): void {
    this.#stale = true;
    this.version++;
  }

  /** Makes the shown columns: the state, and what is left of the last correction. */
  #show(): void {
    this.#stale = false;
    for (const part of this.#parts) {
      for (const name of this.#kernel.writes) {
        const state = part.state[name]!, shown = part.shown[name]!, length = part.rows * (part.table.columns.get(name)?.lanes ?? 1);
        if (this.#left > 0) add(shown, state, part.offset[name]!, this.#left, length);
        else (shown as Float64Array).set(state.subarray(0, length));
      }
    }
  }
}

interface Difference {
  sum: number;
  count: number;
  max: number;
}

/** Whether one of the chunks changed after a version. */
function changed(stamps: Float64Array, since: number, rows: number): boolean {
  for (let chunk = Math.ceil(rows / CHUNK_ROWS) - 1; chunk >= 0; chunk--) if (!(stamps[chunk]! <= since)) return true;
  return false;
}

/** Rows that hold the same entity in both: runs of first and end. */
function sameRows(a: Uint32Array, b: Uint32Array, rows: number): number[] {
  const runs: number[] = [];
  let first = -1;
  for (let row = 0; row < rows; row++) {
    const equal = a[row * 2] === b[row * 2] && a[row * 2 + 1] === b[row * 2 + 1];
    if (equal === first >= 0) continue;
    if (equal) first = row;
    else {
      runs.push(first, row);
      first = -1;
    }
  }
  if (first >= 0) runs.push(first, rows);
  return runs;
}

/** Loops of their own, so that engines see plain arrays; several values in a turn, which they do not do by themselves. */
function difference(now: Floats, before: Floats, runs: number[], lanes: number): Difference {
  let sum = 0, max = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run + 1]! * lanes;
    for (let k = runs[run]! * lanes; k < end; k++) {
      const error = before[k]! - now[k]!, square = error * error;
      if (!(square < Infinity)) continue;
      sum += square;
      if (square > max) max = square;
    }
  }
  return { sum, count: countOf(runs, lanes), max: Math.sqrt(max) };
}

/** The same, and the new correction: the difference, and the part `keep` of the correction before. */
function smoothDifference(now: Floats, before: Floats, runs: number[], lanes: number, offset: Float32Array, left: Float32Array, keep: number): Difference {
  let sum = 0, max = 0, sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run + 1]! * lanes;
    let k = runs[run]! * lanes;
    for (const last = end - 3; k < last; k += 4) {
      const error0 = before[k]! - now[k]!, error1 = before[k + 1]! - now[k + 1]!, error2 = before[k + 2]! - now[k + 2]!, error3 = before[k + 3]! - now[k + 3]!;
      const square0 = error0 * error0, square1 = error1 * error1, square2 = error2 * error2, square3 = error3 * error3;
      sum0 += square0;
      sum1 += square1;
      sum2 += square2;
      sum3 += square3;
      if (square0 > max) max = square0;
      if (square1 > max) max = square1;
      if (square2 > max) max = square2;
      if (square3 > max) max = square3;
      offset[k] = error0 + left[k]! * keep;
      offset[k + 1] = error1 + left[k + 1]! * keep;
      offset[k + 2] = error2 + left[k + 2]! * keep;
      offset[k + 3] = error3 + left[k + 3]! * keep;
    }
    for (; k < end; k++) {
      const error = before[k]! - now[k]!, square = error * error;
      sum += square;
      if (square > max) max = square;
      offset[k] = error + left[k]! * keep;
    }
  }
  sum += sum0 + sum1 + sum2 + sum3;
  if (sum < Infinity) return { sum, count: countOf(runs, lanes), max: Math.sqrt(max) };
  // values that are no numbers have no error, and nothing to fade
  for (let run = 0; run < runs.length; run += 2) {
    for (let k = runs[run]! * lanes; k < runs[run + 1]! * lanes; k++) {
      const error = before[k]! - now[k]!;
      if (!(error * error < Infinity)) offset[k] = 0;
    }
  }
  return difference(now, before, runs, lanes);
}

function countOf(runs: number[], lanes: number): number {
  let rows = 0;
  for (let run = 0; run < runs.length; run += 2) rows += runs[run + 1]! - runs[run]!;
  return rows * lanes;
}

/** No correction for rows outside of the runs. */
function clearBetween(offset: Float32Array, runs: number[], lanes: number, rows: number): void {
  let from = 0;
  for (let run = 0; run < runs.length; run += 2) {
    offset.fill(0, from, runs[run]! * lanes);
    from = runs[run + 1]! * lanes;
  }
  offset.fill(0, from, rows * lanes);
}

/** What is shown: the state, and what is left of corrections. */
function add(shown: Floats, state: Floats, offset: Float32Array, keep: number, length: number): void {
  let k = 0;
  for (const last = length - 3; k < last; k += 4) {
    shown[k] = state[k]! + offset[k]! * keep;
    shown[k + 1] = state[k + 1]! + offset[k + 1]! * keep;
    shown[k + 2] = state[k + 2]! + offset[k + 2]! * keep;
    shown[k + 3] = state[k + 3]! + offset[k + 3]! * keep;
  }
  for (; k < length; k++) shown[k] = state[k]! + offset[k]! * keep;
}
