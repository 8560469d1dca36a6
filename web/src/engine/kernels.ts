//! Systems in JavaScript: how they are declared, and what a kernel sees of a job.

import { EngineError } from "./instance.ts";
import { ARRAYS, arrayOf, whole, type EngineArray } from "./snapshot.ts";

/** Entities that a world has at first. */
export interface EngineSpawn {
  count: number;
  /** Components beside those of the columns; fields without a column get their defaults. */
  components?: readonly string[];
  /** By name (`position.x`): `count` values, or `count` times as many as the field has, one row's after the other. */
  columns?: Readonly<Record<string, EngineArray>>;
}

/** A system whose kernel is a function of the module of kernels. */
export interface EngineSystem {
  name: string;
  /** Columns (`velocity.x`). The system works on entities that have all the components. */
  reads?: readonly string[];
  writes?: readonly string[];
  /** Components that the entities have or lack, beside those. */
  with?: readonly string[];
  without?: readonly string[];
  /** Components of which the kernel sets values, adds to entities, removes from them, and spawns entities with. */
  sets?: readonly string[];
  adds?: readonly string[];
  removes?: readonly string[];
  spawns?: readonly string[];
  /** Whether it despawns. */
  despawns?: boolean;
  /** `startup` (the first frame alone), `update` (without it), `late`, `render` or `cleanup`. */
  stage?: string;
  /** The function's name. */
  kernel: string;
}

/** A world of one's own. */
export interface EngineWorld {
  /** As a file of a layout: TOML. */
  layout: string;
  spawn: readonly EngineSpawn[];
  /** In the order in which they run, where one needs what another one writes. */
  systems: readonly EngineSystem[];
  /** The module that exports the kernels. Each thread imports it. */
  kernels: string | URL;
  /** Simulated seconds of a frame; 1/60 without it. */
  dt?: number;
}

/** What a thread is told of them. */
export interface Declared {
  url: string;
  systems: readonly Pick<EngineSystem, "name" | "reads" | "writes" | "kernel">[];
}

/** First row, rows, a frame's seconds, time, frame. */
type Numbers = readonly [firstRow: number, rows: number, dt: number, time: number, frame: number];
/** A job's columns, in the engine's memory: addresses, bytes and types, as the module tells them. */
type Places = Uint32Array;

/** Types by their codes in layouts. */
const TYPES = ["", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool", "entity", "f16", "bf16", "unorm8", "unorm16", "snorm8", "snorm16"];

/** Values of fields, by name (`velocity.x`): one for each row, or one for all. */
export type EngineValues = Readonly<Record<string, EngineArray>>;

/** A change that waits for the kernel's end, by the numbers that the module knows kinds by. */
export interface Change {
  kind: 0 | 1 | 2 | 3 | 4;
  components: string[];
  rows: Uint32Array | undefined;
  count: number;
  columns: { name: string; array: EngineArray; types: number }[];
}

/** Whoever changes are told. */
interface Told {
  readonly memory: WebAssembly.Memory;
  note(change: Change): void;
}

/** The types whose values such an array holds: a bit for each, at its code. */
function typesOf(array: EngineArray): number {
  return TYPES.reduce((bits, type, code) => bits | (ARRAYS[type]?.name === array.constructor.name ? 1 << code : 0), 0);
}

/** Some rows of a table, for one call of a kernel. Its arrays are the engine's memory: they are valid during the call alone. */
export class EngineJob {
  /** Rows; there may be other jobs for other rows of the table, at the same time and in other threads. */
  readonly rows: number;
  /** The first one's place in its table. */
  readonly firstRow: number;
  /** Simulated seconds of the frame. */
  readonly dt: number;
  /** Simulated seconds at its beginning. */
  readonly time: number;
  /** Its number, from 1. */
  readonly frame: number;
  /** What is to be changed when the kernel is done. */
  readonly changes: Change[] = [];
  private readonly system: Bound;
  private readonly buffer: ArrayBufferLike;
  private places: Places | undefined;

  constructor(system: Bound, [firstRow, rows, dt, time, frame]: Numbers, buffer: ArrayBufferLike, places: Places) {
    [this.firstRow, this.rows, this.dt, this.time, this.frame] = [firstRow, rows, dt, time, frame];
    [this.system, this.buffer, this.places] = [system, buffer, places];
  }

  /** A column's values, of the field's type; a field of several numbers has them one row after the other. They are not to be written. */
  read<A extends EngineArray = Float32Array>(name: string): A {
    return this.array(name, this.system.reads, "reads") as A;
  }

  /** A column's values as they are before the system, to be overwritten. */
  write<A extends EngineArray = Float32Array>(name: string): A {
    return this.array(name, this.system.writes, "writes") as A;
  }

  /** Has values of components set when all jobs are done, in rows of this job, by their number in it. */
  set(rows: ArrayLike<number>, values: EngineValues): void {
    this.change(0, componentsOf(values), rows, values);
  }

  /** Has a component added, with these values; fields without any get their defaults. */
  add(component: string, rows: ArrayLike<number>, values: EngineValues = {}): void {
    this.change(1, [component], rows, values);
  }

  remove(component: string, rows: ArrayLike<number>): void {
    this.change(2, [component], rows, {});
  }

  despawn(rows: ArrayLike<number>): void {
    this.change(3, [], rows, {});
  }

  /** Has so many entities spawned with the components of these fields, and further ones. */
  spawn(count: number, values: EngineValues, components: readonly string[] = []): void {
    this.change(4, [...new Set([...componentsOf(values), ...components])], count, values);
  }

  /** The call is over. */
  end(): void {
    this.places = undefined;
  }

  /** Copies what is given: the arrays may be the engine's memory. */
  private change(kind: Change["kind"], components: string[], rows: ArrayLike<number> | number, values: EngineValues): void {
    if (this.places === undefined) throw new EngineError("the job is over");
    const count = typeof rows === "number" ? rows : rows.length;
    if (!(Number.isInteger(count) && count >= 0 && count < 2 ** 32)) throw new EngineError(`${count} entities: it must be a whole number`);
    const columns = Object.entries(values).map(([name, array]) => ({ name, array: array.slice() as EngineArray, types: typesOf(array) }));
    if (count > 0) this.changes.push({ kind, components, rows: typeof rows === "number" ? undefined : Uint32Array.from(rows), count, columns });
  }

  private array(name: string, names: ReadonlyMap<string, number>, what: string): EngineArray {
    const at = names.get(name);
    if (at === undefined) throw new EngineError(`the system does not declare that it ${what} \`${name}\`; it ${what} ${[...names.keys()].join(", ") || "nothing"}`);
    if (this.places === undefined) throw new EngineError("the job is over");
    const [address, bytes, code] = this.places.subarray(3 * at) as unknown as [number, number, number];
    return arrayOf(TYPES[code]!, this.buffer, address, bytes);
  }
}

function componentsOf(values: EngineValues): string[] {
  return [...new Set(Object.keys(values).map(name => name.split(".")[0]!))];
}

/** A system and its kernel. */
interface Bound {
  kernel: (job: EngineJob) => unknown;
  /** Places of columns among those of a job: first what is written, then what is read. */
  writes: ReadonlyMap<string, number>;
  reads: ReadonlyMap<string, number>;
}

/** The kernels of an instance. */
export class Kernels {
  private readonly systems: readonly Bound[];

  private constructor(systems: readonly Bound[]) {
    this.systems = systems;
  }

  /** Imports the module and looks the kernels up. */
  static async load({ url, systems }: Declared): Promise<Kernels> {
    let module: Record<string, unknown>;
    try {
      module = await import(/* webpackIgnore: true */ /* @vite-ignore */ url) as Record<string, unknown>;
    } catch (error) {
      throw new EngineError(`the kernels cannot be loaded: ${url}: ${String(error)}`);
    }
    return new Kernels(systems.map(({ name, kernel, writes = [], reads = [] }) => {
      const found = module[kernel];
      if (typeof found !== "function") {
        const functions = Object.keys(module).filter(key => typeof module[key] === "function");
        throw new EngineError(`system \`${name}\`: ${url} exports no function \`${kernel}\`; it exports ${functions.join(", ") || "none"}`);
      }
      const places = (names: readonly string[], first: number) => new Map(names.map((name, index) => [name, first + index]));
      return { kernel: found as Bound["kernel"], writes: places(writes, 0), reads: places(reads, writes.length) };
    }));
  }

  /** Runs a job, and then tells what it changes: that may end arrays. Throws what the kernel throws. */
  run(system: number, numbers: Numbers, told: Told, columns: number): void {
    const { memory } = told, bound = this.systems[system]!, length = 3 * (bound.writes.size + bound.reads.size);
    const places = new Uint32Array(whole(memory, columns + 4 * length), columns, length);
    let end = 0;
    for (let at = 0; at < length; at += 3) end = Math.max(end, places[at]! + places[at + 1]!);
    const job = new EngineJob(bound, numbers, whole(memory, end), places);
    try {
      const result = bound.kernel(job);
      if (typeof (result as { then?: unknown } | undefined)?.then === "function") throw new EngineError("it returned a promise: a kernel is done when it returns");
    } finally {
      job.end();
    }
    for (const change of job.changes) told.note(change);
  }
}
