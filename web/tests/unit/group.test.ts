//! Entities that are chosen together: their sums and files against plain loops, and the table of handles against a Map.

import assert from "node:assert/strict";
import { test } from "node:test";
import { csv, sums, type Rows } from "../../src/page/group.ts";
import { HandleMap } from "../../src/page/handles.ts";
import { along } from "../../src/page/sources.ts";
import { tar } from "../../src/page/video.ts";
import { Random } from "../support/random.ts";

test("a table of handles is a Map of handles", () => {
  const random = new Random(7), mine = new HandleMap(3), theirs = new Map<bigint, number>();
  for (let i = 0; i < 20_000; i++) {
    // few generations of few slots, and ids of any size
    const low = random.chance(0.5) ? random.u32() % 3000 : random.u32(), high = random.chance(0.5) ? random.u32() % 3 : random.u32(), value = random.u32() % 1_000_000;
    mine.set(low, high, value);
    theirs.set(BigInt(low) | BigInt(high) << 32n, value);
  }
  assert.equal(mine.size, theirs.size);
  for (const [handle, value] of theirs) assert.equal(mine.get(Number(handle & 0xffff_ffffn), Number(handle >> 32n)), value);
  for (let i = 0; i < 2000; i++) {
    const low = random.u32(), high = random.u32();
    assert.equal(mine.get(low, high), theirs.get(BigInt(low) | BigInt(high) << 32n));
  }
  const seen = new Map<bigint, number>();
  mine.each((low, high, value) => seen.set(BigInt(low) | BigInt(high) << 32n, value));
  assert.deepEqual(new Map([...seen].sort()), new Map([...theirs].sort()));
});

/** Five rows: a vector, a toggle with a small number, a handle, 64 bits, an array. */
function model(): { of: Rows[]; components: never } {
  const field = (name: string, scalar: string, length = 0): object => ({ name, scalar, length });
  const components = [
    { name: "place", fields: [field("x", "f32"), field("n", "u64")], storage: "table" }, { name: "spin", fields: [field("v", "f64", 2)], storage: "table" },
    { name: "mood", fields: [field("level", "snorm8")], storage: "toggle" }, { name: "mate", fields: [field("of", "entity")], storage: "table" },
    { name: "hot", fields: [], storage: "table" }, { name: "cold", fields: [], storage: "table" },
  ] as never;
  const column = (name: string, type: string, data: object, lanes = 1): [string, object] => [name, { name, component: name.split(".")[0], type, data, lanes }];
  const columns = new Map([
    column("place.x", "f32", Float32Array.of(1.5, 0.1, NaN, -3, 4)), column("place.n", "u64", BigUint64Array.of(1n, 2n ** 63n, 3n, 4n, 5n)),
    column("spin.v", "f64", Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 2), column("mood.level", "snorm8", Int8Array.of(127, -127, 0, 64, 1)),
    column("mate.of", "entity", BigUint64Array.of(7n, 8n, 9n, 10n, 11n)),
  ]);
  const table = {
    rows: 5, columns, toggles: new Map([["mood", { has: (row: number) => row !== 1 }]]), handles: { data: BigUint64Array.of(1n << 32n, 1n << 32n | 1n, 2n, 3n, 4n) },
    has: (name: string) => ["place", "spin", "mood", "mate", "hot"].includes(name),
  };
  return { of: [{ table: table as unknown as Rows["table"], rows: Uint32Array.of(0, 1, 2, 3) }], components };
}

test("the chosen are counted and summed, column by column", () => {
  const found = new Map(sums(model().of).map(one => [one.name, one]));
  // no handles among them; who has no number, or not the toggle, does not count
  assert.deepEqual([...found.keys()], ["place.x", "place.n", "spin.v[0]", "spin.v[1]", "mood.level"]);
  const tenth = Math.fround(0.1), x = found.get("place.x")!;
  assert.deepEqual([x.count, x.sum, x.min, x.max, x.mean], [3, 1.5 + tenth - 3, -3, 1.5, (1.5 + tenth - 3) / 3]);
  assert.deepEqual([found.get("place.n")!.max, found.get("place.n")!.count], [2 ** 63, 4]);
  assert.deepEqual([found.get("spin.v[1]")!.sum, found.get("spin.v[1]")!.mean], [20, 5]);
  assert.deepEqual([found.get("mood.level")!.count, found.get("mood.level")!.min, found.get("mood.level")!.max], [3, 0, 1]);
  assert.deepEqual(sums([]), []);
});

test("the chosen as a file: a line for each, with every digit that says something", () => {
  const { of, components } = model(), lines = csv({ components }, of).join("").trimEnd().split("\n").map(line => line.split(","));
  assert.deepEqual(lines[0], ["handle", "place.x", "place.n", "spin.v[0]", "spin.v[1]", "mood.level", "mate.of", "hot"]);
  assert.equal(lines.length, 5);
  assert.deepEqual(lines[2], ["4294967297", "0.100000001", "9223372036854775808", "3", "4", "", "8", "true"]);
  assert.equal(Math.fround(Number(lines[2]![1])), Math.fround(0.1));
  assert.deepEqual(lines[3]!.slice(0, 2), ["2", "NaN"]);
});

test("a vector's numbers go along the axes of their letters", () => {
  const three = ["velocity.x", "velocity.y", "velocity.z"];
  assert.deepEqual(["position.x", "position.z", "position.y"].map((axis, i) => along(three, axis, i)), ["velocity.x", "velocity.z", "velocity.y"]);
  assert.deepEqual(["place[0]", "place[1]"].map((axis, i) => along(["v.v[0]", "v.v[1]"], axis, i)), ["v.v[0]", "v.v[1]"]);
  // a plane's vector has nothing along z; axes without a letter are taken in their turn
  assert.equal(along(["wind.x", "wind.y"], "position.z", 2), undefined);
  assert.deepEqual(["heat.now", "heat.soon"].map((axis, i) => along(three, axis, i)), ["velocity.x", "velocity.y"]);
});

test("frames lie in an archive as tar has them", async () => {
  const bytes = Buffer.from(await tar([["a.png", Uint8Array.of(1, 2, 3)], ["b.png", new Uint8Array(513).fill(7)]]).arrayBuffer());
  assert.equal(bytes.length, 512 + 512 + 512 + 1024 + 1024);
  const text = (at: number, length: number): string => bytes.subarray(at, at + length).toString("latin1").replace(/\0.*$/s, "");
  assert.deepEqual([text(0, 100), text(257, 6), parseInt(text(124, 12), 8)], ["a.png", "ustar", 3]);
  assert.deepEqual([text(1024, 100), parseInt(text(1148, 12), 8), bytes[1536], bytes[2048]], ["b.png", 513, 7, 7]);
  for (const at of [0, 1024]) {
    const head = Buffer.from(bytes.subarray(at, at + 512)), said = parseInt(head.subarray(148, 156).toString("latin1"), 8);
    head.fill(0x20, 148, 156);
    assert.equal(head.reduce((sum, byte) => sum + byte, 0), said);
  }
});
