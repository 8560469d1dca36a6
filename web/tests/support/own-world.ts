//! A world with systems in JavaScript, and the same as a loop.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { EngineSystem, EngineWorld, Snapshot } from "../../src/engine/index.ts";

/** The module of kernels; tests run in `web/`. */
export const KERNELS_FILE = join(process.cwd(), "tests/engine/kernels.js");
export const KERNELS = pathToFileURL(KERNELS_FILE).href;

export const LAYOUT = `
name = "own"
bytes_max = "4 GiB"
components.position.fields = { x = "f32", y = { type = "f32", default = 5.0 } }
components.velocity.fields = { x = "f32", limit = "f32" }
components.spin.fields = { turn = "[f64; 2]", whole = "u64", sign = "i32", row = "u32" }
components.lamp.fields = { on = "bool" }
components.life.fields = { left = "u32" }
components.mark.fields = { value = "f64", at = { type = "u16", default = 9 } }
components.young = {}
`;

export const SYSTEMS: EngineSystem[] = [
  { name: "drift", reads: ["velocity.x"], writes: ["position.x"], kernel: "integrate" },
  { name: "turn back", reads: ["position.x", "velocity.limit"], writes: ["velocity.x"], kernel: "bounce" },
  { name: "count", writes: ["spin.turn", "spin.whole", "spin.sign", "spin.row", "lamp.on"], stage: "late", kernel: "count" },
];

const PLAIN = 40_000, SPINNING = 25_000, DT = 0.02;
const x = (n: number) => Math.fround((n * 7919 % 1000) / 500 - 1), vx = (n: number) => Math.fround((n * 104_729 % 777) / 300 - 1.3), limit = (n: number) => Math.fround(0.5 + n % 5 / 4);
const floats = (count: number, value: (n: number) => number, first: number) => Float32Array.from({ length: count }, (_, n) => value(first + n));
const own = (count: number, first: number) => ({ "position.x": floats(count, x, first), "velocity.x": floats(count, vx, first), "velocity.limit": floats(count, limit, first) });

/** The world; with `columns` it may be sent to a page, too. */
export function world(kernels: string, systems: EngineSystem[] = SYSTEMS): EngineWorld {
  return {
    layout: LAYOUT, kernels, systems, dt: DT,
    spawn: [
      { count: PLAIN, columns: own(PLAIN, 0) },
      { count: SPINNING, components: ["spin"], columns: { ...own(SPINNING, PLAIN), "lamp.on": Uint8Array.from({ length: SPINNING }, (_, n) => n % 2) } },
    ],
  };
}

/** Values of all columns, by table. */
export type Values = Record<string, (number | bigint)[]>[];

/** What the frames make of it, one entity after the other. */
export function expected(frames: number): Values {
  return [[0, PLAIN], [PLAIN, SPINNING]].map(([first, count]) => {
    const names = ["position.x", "position.y", "velocity.x", "velocity.limit"], spins = ["spin.turn", "spin.whole", "spin.sign", "spin.row", "lamp.on"];
    const table: Record<string, (number | bigint)[]> = Object.fromEntries([...names, ...first ? spins : []].map(name => [name, []]));
    let time = 0;
    const times = Array.from({ length: frames }, () => { const before = time; time += DT; return before; });
    for (let row = 0; row < count!; row++) {
      let here = x(first! + row), speed = vx(first! + row), turn = 0, sign = 0, whole = 0n;
      for (let frame = 1; frame <= frames; frame++) {
        here = Math.fround(here + speed * DT);
        if (Math.abs(here) > limit(first! + row)) speed = -speed;
        turn += 0.1 * frame;
        sign = -sign - 1;
        whole += BigInt(frame) * 2n ** 40n;
      }
      for (const [name, value] of [["position.x", here], ["position.y", 5], ["velocity.x", speed], ["velocity.limit", limit(first! + row)]] as const) table[name]!.push(value);
      if (!first) continue;
      table["spin.turn"]!.push(turn, times.at(-1)!);
      for (const [name, value] of [["spin.whole", whole], ["spin.sign", sign], ["spin.row", row], ["lamp.on", (row + frames) % 2]] as const) table[name]!.push(value);
    }
    return table;
  });
}

/** What an engine holds, as `expected` has it. */
export function values(snapshot: Snapshot): Values {
  const tables = [...snapshot.tables].filter(table => table.rows > 0).sort((a, b) => a.columns.size - b.columns.size);
  return tables.map(table => Object.fromEntries([...table.columns].filter(([name]) => name !== "(entity)").map(([name, { array }]) => [name, [...array as Iterable<number | bigint>]])));
}

const LIVES = 30_000;

/** A world whose rows come and go. */
export const LIVING: EngineWorld = {
  layout: LAYOUT, kernels: KERNELS,
  spawn: [{ count: LIVES, columns: { "life.left": Uint32Array.from({ length: LIVES }, (_, n) => 1 + n % 7) } }],
  systems: [
    { name: "age", writes: ["life.left"], adds: ["mark"], removes: ["mark"], spawns: ["life", "mark", "young"], despawns: true, kernel: "age" },
    { name: "stamp", reads: ["life.left"], with: ["mark"], sets: ["mark"], stage: "late", kernel: "stamp" },
  ],
};

/** What the frames make of it: how many entities are alike. */
export function lives(frames: number): Map<string, number> {
  interface Life { left: number; value?: number | undefined; at: number }
  let all: Life[] = Array.from({ length: LIVES }, (_, n) => ({ left: 1 + n % 7, at: 9 }));
  for (let frame = 1; frame <= frames; frame++) {
    const next: Life[] = [];
    for (const life of all) {
      life.left--;
      if (life.left === 0) {
        for (const value of [0, 1]) next.push({ left: 5 + frame % 3, value, at: 9 });
        continue;
      }
      if (life.left % 4 === 1) Object.assign(life, { value: life.left / 8, at: 9 });
      if (life.left % 4 === 2) life.value = undefined;
      next.push(life);
    }
    for (const life of next) if (life.value !== undefined && life.left % 2 === 1) life.at = life.left;
    all = next;
  }
  return counted(all.map(({ left, value, at }) => [left, value, value === undefined ? undefined : at]));
}

/** The same of an engine. */
export function held(snapshot: Snapshot): Map<string, number> {
  return counted(snapshot.tables.flatMap(({ rows, columns }) => {
    const [left, value, at] = ["life.left", "mark.value", "mark.at"].map(name => columns.get(name)?.array);
    return Array.from({ length: rows }, (_, row) => [left![row], value?.[row], at?.[row]]);
  }));
}

function counted(all: unknown[][]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(JSON.stringify(one), (counts.get(JSON.stringify(one)) ?? 0) + 1);
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
