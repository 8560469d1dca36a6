//! The last minutes: states as they were received, each column kept once for as long as it does not change.
//!
//! Invariants: never more bytes than allowed, the oldest states go first; what was kept is not touched again.

import { Bits, Budget, Column, Table, type Role } from "../view/table.ts";
import { Entities, type World } from "../view/world.ts";
import type { Scalar } from "../view/types.ts";
import type { Shown } from "./sources.ts";

/** A column's bytes, shared by all states in which it is the same. */
interface Kept {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly stamp: number;
  states: number;
}

interface PartState {
  readonly part: Column | Bits;
  readonly kept: Kept;
}

interface TableState {
  readonly id: number;
  readonly rows: number;
  readonly components: readonly string[];
  readonly parts: readonly PartState[];
}

/** One state. */
export interface State {
  readonly generation: number;
  readonly frame: number;
  readonly time: number;
  /** When it was received, ms on the page's clock. */
  readonly at: number;
  readonly tables: readonly TableState[];
  readonly resources: ReadonlyMap<string, Map<string, Scalar | Scalar[]>>;
}

export interface Limits {
  readonly bytesMax: number;
  readonly statesMax: number;
  /** Least time between two states, ms. */
  readonly gapMs: number;
  /** For how long the bytes are to last, ms: large states are kept less often. */
  readonly spanMs?: number;
}

export class States {
  readonly all: State[] = [];
  /** Bytes that are held. */
  bytes = 0;
  /** States that did not fit any more. */
  dropped = 0;
  readonly #limits: Limits;
  #last = new Map<Column | Bits, Kept>();
  #layout: unknown;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get newest(): State | undefined {
    return this.all.at(-1);
  }

  clear(): void {
    this.all.length = this.bytes = this.dropped = 0;
    this.#last.clear();
  }

  /** Keeps the world's state, where it is new and the one before is old enough. */
  record(world: World, at: number): boolean {
    const last = this.newest;
    // another layout, or a simulation that began anew
    if (this.#layout !== world.columns || last && world.generation < last.generation) this.clear();
    this.#layout = world.columns;
    if (world.generation === 0 || this.newest?.generation === world.generation || this.newest && at - this.newest.at < this.#limits.gapMs) return false;
    if (this.newest && at - this.newest.at < (this.#limits.spanMs ?? 0) * this.#need(world, false) / this.#limits.bytesMax) return false;
    if (this.#need(world, true) > this.#limits.bytesMax) {
      // one state is more than all of them may be
      this.clear();
      this.dropped++;
      return false;
    }
    // what goes with an old state may be what the new one would have shared
    while (this.all.length > 0 && (this.bytes + this.#need(world, false) > this.#limits.bytesMax || this.all.length >= this.#limits.statesMax)) this.#drop();
    const tables = world.tables.map(table => ({
      id: table.id, rows: table.rows, components: table.components, parts: table.parts.map(part => ({ part, kept: this.#keep(part, table.rows) })),
    }));
    const live = new Set(tables.flatMap(table => table.parts.map(({ part }) => part)));
    for (const part of this.#last.keys()) if (!live.has(part)) this.#last.delete(part);
    const resources = new Map(world.resources.flatMap(name => {
      const values = world.resource(name);
      return values ? [[name, values] as const] : [];
    }));
    this.all.push({ generation: world.generation, frame: world.frame, time: world.time, at, tables, resources });
    return true;
  }

  /** Bytes that a state takes: all of them, or those that are not kept yet. */
  #need(world: World, whole: boolean): number {
    let sum = 0;
    for (const table of world.tables) for (const part of table.parts) if (whole || !this.#same(part, table.rows)) sum += part.bytesOf(table.rows);
    return sum;
  }

  #same(part: Column | Bits, rows: number): Kept | undefined {
    const last = this.#last.get(part), bytes = part.bytesOf(rows);
    if (!last || last.states === 0 || last.bytes.length !== bytes) return undefined;
    for (let chunk = 0; chunk * 1024 < rows; chunk++) if (part.stamps[chunk]! > last.stamp) return undefined;
    return last;
  }

  #keep(part: Column | Bits, rows: number): Kept {
    let kept = this.#same(part, rows);
    if (!kept) {
      let stamp = -1;
      for (let chunk = 0; chunk * 1024 < rows; chunk++) stamp = Math.max(stamp, part.stamps[chunk]!);
      kept = { bytes: part.bytes.slice(0, part.bytesOf(rows)), stamp, states: 0 };
      this.bytes += kept.bytes.length;
      this.#last.set(part, kept);
    }
    kept.states++;
    return kept;
  }

  #drop(): void {
    const oldest = this.all.shift();
    this.dropped++;
    for (const { parts } of oldest?.tables ?? []) {
      for (const { kept } of parts) if (--kept.states === 0) this.bytes -= kept.bytes.length;
    }
  }
}

/** A kept state as a world that can be shown. Its tables stay the same from state to state: only what differs is copied. */
export class Past implements Shown {
  generation = 0;
  frame = 0;
  time = 0;
  version = 0;
  readonly entities = new Entities(() => this.tables);
  tables: Table[] = [];
  readonly #world: World;
  readonly #budget = new Budget(Number.MAX_SAFE_INTEGER);
  readonly #made = new Map<number, { table: Table; parts: Map<string, { part: Column | Bits; held: Kept | undefined }> }>();
  #resources: State["resources"] = new Map();

  constructor(world: World) {
    this.#world = world;
  }

  get components(): Shown["components"] {
    return this.#world.components;
  }

  get columns(): Shown["columns"] {
    return this.#world.columns;
  }

  get resourceLayouts(): Shown["resourceLayouts"] {
    return this.#world.resourceLayouts;
  }

  get resources(): string[] {
    return this.#world.resources;
  }

  resource(name: string): Map<string, Scalar | Scalar[]> | undefined {
    return this.#resources.get(name);
  }

  /** Shows a state. */
  load(state: State): void {
    const moment = { version: ++this.version, generation: state.generation };
    this.tables = state.tables.map(({ id, rows, components, parts }) => {
      let made = this.#made.get(id);
      if (!made) this.#made.set(id, made = { table: new Table(id), parts: new Map() });
      const mine = parts.map(({ part: from, kept }) => {
        let copy = made.parts.get(from.key);
        if (!copy) made.parts.set(from.key, copy = { part: this.#like(from), held: undefined });
        return { copy, kept };
      });
      const keys = new Set(parts.map(({ part }) => part.key));
      for (const key of made.parts.keys()) if (!keys.has(key)) made.parts.delete(key);
      const shape = mine.map(({ copy }) => copy.part);
      if (shape.length !== made.table.parts.length || shape.some((part, i) => part !== made.table.parts[i]) || made.table.components !== components) made.table.reshape(components, shape, moment);
      const before = made.table.rows;
      made.table.resize(rows, moment);
      for (const { copy, kept } of mine) {
        if (copy.held === kept && before === rows) continue;
        copy.part.bytes.set(kept.bytes);
        copy.part.stamp(0, Math.ceil(rows / copy.part.itemRows), moment);
        copy.held = kept;
      }
      return made.table;
    });
    this.generation = state.generation;
    this.frame = state.frame;
    this.time = state.time;
    this.#resources = state.resources;
  }

  #like(part: Column | Bits): Column | Bits {
    return part instanceof Bits ? new Bits(part.component, part.role as Role, part.key, this.#budget) : new Column(part, part.role as Role, part.key, this.#budget);
  }
}
