//! A subscription with a box: rows outside are not there, whichever way one asks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, type UpdatePart } from "../../src/view/protocol.ts";
import { World } from "../../src/view/world.ts";
import { Random } from "../support/random.ts";
import { HELLO, columnsOf, difference, json, resize, update, type Model } from "../support/server.ts";

const ROWS = 3000;

/** Rows of two tables; every seventh of the first has x = 50 + row / 1000 and is inside, the others are zero, as the server leaves them. */
function boxed(): { world: World; inside: number[] } {
  const first = { id: 2, columns: [...columnsOf([0, 9]), { role: 7, component: 0, field: 0, bytes: 0 }], components: [0, 9], rows: 0, data: [] as Uint8Array[] };
  const second = { ...first, id: 3, data: [] as Uint8Array[] };
  resize(first, ROWS);
  resize(second, 100);
  const inside: number[] = [];
  [first, second].forEach((table, t) => {
    const handles = new BigUint64Array(table.data[0]!.buffer), x = new Float32Array(table.data[1]!.buffer), level = new Int16Array(table.data[4]!.buffer);
    for (let row = 0; row < table.rows; row++) {
      handles[row] = BigInt(t * 10_000 + row) | 1n << 32n;
      if (t !== 0 || row % 7 !== 3) continue;
      inside.push(row);
      x[row] = 50 + row / 1000;
      level[row] = row;
      table.data[6]![row >> 3]! |= 1 << (row & 7);
      // of the toggle every other one
      if (row % 2 === 0) table.data[5]![row >> 3]! |= 1 << (row & 7);
    }
  });
  const model: Model = new Map([[2, first], [3, second]]), world = new World(2 ** 26);
  const hello = decode(json(1, HELLO));
  assert.equal(hello.kind, "hello");
  if (hello.kind === "hello") world.announce(hello.hello);
  const parts = update({ subscription: 1, from: 0, to: 5, frame: 5, time: 1, full: true }, difference(undefined, model, new Random(1))).map(bytes => {
    const message = decode(bytes);
    return message.kind === "update" ? message.part : assert.fail();
  }) as UpdatePart[];
  world.apply(parts);
  return { world, inside };
}

test("rows outside a box are not there: columns, entities, counts", () => {
  const { world, inside } = boxed(), x = world.column("position.x"), values = x.toArray();
  assert.ok(world.tables.every(table => table.inBox));
  assert.equal(x.length, inside.length);
  assert.equal(values.length, inside.length);
  assert.deepEqual([...x], inside.map(row => Math.fround(50 + row / 1000)));
  assert.deepEqual([...values as Float32Array], [...x]);
  assert.equal(inside.length, 429);
  const mean = [...x].reduce<number>((sum, value) => sum + Number(value), 0) / x.length;
  assert.ok(Math.abs(mean - 51.5) < 0.01, `a mean of ${mean}`);
  for (const at of [0, 1, 31, 200, 428, -1, -429]) assert.equal(x.at(at), [...x].at(at));
  assert.equal(x.at(429), undefined);
  assert.equal(x.at(-430), undefined);
  assert.equal(world.entities.count, inside.length);
  assert.deepEqual([...world.entities].map(handle => Number(handle & 0xffff_ffffn)), inside);
  assert.equal(world.entities.get(inside[5]!)?.get("position.x"), x.at(5));
  assert.equal(world.entities.find(4), undefined, "outside");
  assert.equal(world.entities.get(1n << 32n | 4n), undefined);
  assert.deepEqual(world.tables.map(table => [table.rows, table.rowsShown]), [[ROWS, inside.length], [100, 0]]);
});

test("in a box a component that rows may lack is absent where it is absent", () => {
  const { world, inside } = boxed(), level = world.column("mood.level"), have = inside.filter(row => row % 2 === 0);
  assert.equal(level.length, inside.length);
  assert.deepEqual([...level], inside.map(row => row % 2 === 0 ? row : undefined));
  assert.deepEqual([...level.toArray() as Int16Array], have);
});
