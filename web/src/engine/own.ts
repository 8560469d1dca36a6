//! Tells the engine of a world of one's own.

import { EngineError } from "./instance.ts";
import type { Declared, EngineSpawn, EngineWorld } from "./kernels.ts";
import { ARRAYS, whole } from "./snapshot.ts";

/** Who is told. */
export interface Told {
  readonly memory: WebAssembly.Memory;
  call(name: string, numbers: (number | bigint)[], text?: string): Promise<string>;
}

/** The parts of a system, by the numbers that the module knows them by. */
const PART = { stage: 0, writes: 1, reads: 2, with: 3, without: 4, sets: 5, adds: 6, removes: 7, spawns: 8, despawns: 9 } as const;

/** What threads are told of a world's kernels. */
export function declared({ kernels, systems }: EngineWorld): Declared {
  // in a page, an address may be relative to the page's
  const page = (globalThis as { document?: { baseURI: string } }).document?.baseURI;
  let url: string;
  try {
    url = new URL(kernels, page).href;
  } catch {
    throw new EngineError(`\`${String(kernels)}\` is no address of kernels: give a URL, like new URL("./kernels.js", import.meta.url)`);
  }
  for (const { name, reads = [], writes = [] } of systems) {
    const twice = [reads, writes].flatMap(names => names.filter((column, at) => names.indexOf(column) !== at))[0];
    if (twice !== undefined) throw new EngineError(`system \`${name}\` names column \`${twice}\` twice`);
  }
  return { url, systems: systems.map(({ name, kernel, reads = [], writes = [] }) => ({ name, kernel, reads: [...reads], writes: [...writes] })) };
}

/** Makes a world and starts it; answers with what runs. */
export async function startOwn(engine: Told, world: EngineWorld, threads: number, runners: number, publishEvery: number): Promise<string> {
  await engine.call("own_layout", [runners], world.layout);
  for (const [place, spawn] of world.spawn.entries()) {
    try {
      await tellSpawn(engine, spawn);
    } catch (error) {
      throw error instanceof EngineError ? new EngineError(`spawn[${place}]: ${error.message}`, error.fatal) : error;
    }
  }
  for (const system of world.systems) {
    await engine.call("own_system", [], system.name);
    const tell = (part: keyof typeof PART, name: string) => engine.call("own_part", [PART[part]], name);
    if (system.stage !== undefined) await tell("stage", system.stage);
    for (const part of ["writes", "reads", "with", "without", "sets", "adds", "removes", "spawns"] as const) for (const name of system[part] ?? []) await tell(part, name);
    if (system.despawns) await tell("despawns", "");
  }
  return engine.call("own_start", [world.dt ?? 1 / 60, threads, publishEvery]);
}

async function tellSpawn(engine: Told, { count, components = [], columns = {} }: EngineSpawn): Promise<void> {
  await engine.call("own_entities", [count]);
  for (const component of components) await engine.call("own_component", [], component);
  for (const [name, array] of Object.entries(columns)) {
    if (!ArrayBuffer.isView(array)) throw new EngineError(`column \`${name}\` is not a typed array`);
    const { type, at } = JSON.parse(await engine.call("own_column", [array.byteLength], name)) as { type: string; at: number };
    const kind = ARRAYS[type]!.name, given = array.constructor.name;
    if (given !== kind) throw new EngineError(`column \`${name}\` is of ${type}: it takes ${kind}, not ${given}`);
    new Uint8Array(whole(engine.memory, at + array.byteLength), at, array.byteLength).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  await engine.call("own_spawn", []);
}
