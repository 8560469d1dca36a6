//! Entities that are chosen together: their sums and files against plain loops, and the table of handles against a Map.

import assert from "node:assert/strict";
import { test } from "node:test";
import { csv, sums } from "../../src/page/group.ts";
import { HandleMap } from "../../src/page/handles.ts";
import { Members, type Rows } from "../../src/page/members.ts";
import { Linker } from "../../src/page/lines.ts";
import type { Batch } from "../../src/page/points.ts";
import { along } from "../../src/page/sources.ts";
import { tar } from "../../src/page/video.ts";
import type { Table } from "../../src/view/table.ts";
import { Led } from "../support/led.ts";
import { columnsOf, mutate, resize, type Model, type ModelTable } from "../support/server.ts";
import { Random } from "../support/random.ts";

test("a table of handles is a Map of handles", () => {
  const random = new Random(7), mine = new HandleMap(3), theirs = new Map<bigint, number>();
  for (let i = 0; i < 20_000; i++) {
    // many generations of few slots, and ids of any size
    const few = random.chance(0.7), low = few ? random.u32() % 60 : random.u32(), high = few ? random.u32() % 200 : random.u32(), value = random.u32() % 1_000_000;
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

test("members are found wherever they go, and only chunks whose handles change are looked at", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const led = new Led(seed), model: Model = new Map(), members = new Members(), chosen = new Set<bigint>();
    for (let step = 0; step < 25; step++) {
      mutate(model, led.random);
      led.lead(model);
      if (step % 8 === 3) {
        if (led.random.chance(0.5)) {
          members.clear();
          chosen.clear();
        }
        members.add(each => {
          for (const table of led.world.tables) {
            for (let row = 0; row < table.rows; row++) {
              if (!led.random.chance(0.3)) continue;
              each(table, row);
              chosen.add(table.handles.data[row] as bigint);
            }
          }
        });
      }
      // the handles are random bytes: two may be the same
      assert.equal(members.size, chosen.size);
      if (led.random.chance(0.3)) continue;
      const wanted = led.world.tables.map(table => Array.from({ length: table.rows }, (_, row) => row).filter(row => chosen.has(table.handles.data[row] as bigint)));
      assert.deepEqual(members.of(led.world.tables).map(({ rows }) => [...rows]), wanted.filter(rows => rows.length > 0), `seed ${seed}, step ${step}`);
      led.world.tables.forEach((table, i) => {
        const marks = members.marks(table), data = marks?.kind === "computed" ? [...marks.computed.data.subarray(0, table.rows)] : [];
        assert.deepEqual(data.flatMap((value, row) => value === 1 ? [row] : []), wanted[i]);
      });
    }
  }
  const led = new Led(9), table: ModelTable = { id: 2, columns: columnsOf([0]), components: [0], rows: 0, data: [] }, model: Model = new Map([[2, table]]), members = new Members();
  resize(table, 8000);
  new BigUint64Array(table.data[0]!.buffer).forEach((_, row, all) => (all[row] = BigInt(row)));
  led.lead(model);
  members.add(each => each(led.world.tables[0]!, 5000));
  assert.deepEqual([members.of(led.world.tables).map(({ rows }) => [...rows]), members.looked], [[[5000]], 8]);
  new Float32Array(table.data[1]!.buffer).fill(1);
  new BigUint64Array(table.data[0]!.buffer)[3000] = 9000n;
  led.lead(model);
  members.of(led.world.tables);
  assert.equal(members.looked, 9, "one chunk of eight");
});

test("lines lead from each entity to the one that it names, wherever both are", () => {
  const batch = (table: Table): Batch => {
    const of = (axis: string): Batch["x"] => ({ kind: "column", column: table.columns.get(`position.${axis}`)!, lane: 0 });
    return { table, x: of("x"), y: of("y"), z: of("z"), colour: { kind: "constant", value: 0 }, plain: "#fff", shown: { kind: "constant", value: 1 }, radius: { kind: "constant", value: 1 }, opacity: { kind: "constant", value: 1 } };
  };
  let lines = 0;
  for (let seed = 1; seed <= 4; seed++) {
    const led = new Led(seed), model: Model = new Map(), linker = new Linker();
    for (let step = 0; step < 20; step++) {
      mutate(model, led.random);
      const all = [...model.values()].filter(({ id }) => id > 1), handles = all.flatMap(({ data, rows }) => [...new BigUint64Array(data[0]!.buffer, 0, rows)]);
      for (const { columns, data, rows } of all) {
        const place = columns.findIndex(({ role, component }) => role === 1 && component === 6);
        for (let row = 0; place >= 0 && row < rows; row++) if (led.random.chance(0.7)) new BigUint64Array(data[place]!.buffer)[row] = handles[led.random.u32() % handles.length]!;
      }
      led.lead(model);
      const batches = led.world.tables.filter(table => table.columns.has("position.x")).map(batch), at = (table: Table, row: number): number[] => ["x", "y", "z"].map(axis => Number(table.columns.get(`position.${axis}`)!.data[row]));
      const wanted = batches.flatMap(({ table }) => Array.from({ length: table.columns.has("bond.to") ? table.rows : 0 }, (_, row) => {
        const named = table.columns.get("bond.to")!.data[row] as bigint, found = batches.flatMap(({ table }) => Array.from({ length: table.rows }, (_, row) => ({ table, row })).filter(({ row }) => table.handles.data[row] === named)).at(-1);
        return found ? [[...at(table, row), ...at(found.table, found.row)]] : [];
      }).flat());
      const { ends, count } = linker.links(batches, "bond.to", led.world.version, "#fff");
      assert.deepEqual(Array.from({ length: count }, (_, i) => [...ends.subarray(i * 6, i * 6 + 6)]), wanted, `seed ${seed}, step ${step}`);
      lines += count;
    }
  }
  assert.ok(lines > 100, `${lines} lines`);
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
