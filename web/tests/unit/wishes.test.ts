//! What is asked for beside columns: boxes that go with a view, boxes and errors that are typed, errors that are suggested.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Computed } from "../../src/page/computed.ts";
import { formula } from "../../src/page/expression.ts";
import { Follower, readBox, readErrors, suggestion } from "../../src/page/wishes.ts";
import { World } from "../../src/view/world.ts";
import { decode, type Hello, type UpdatePart } from "../../src/view/protocol.ts";
import { HELLO, columnsOf, json, resize, tableBlock, update, valuesBlock, type ModelTable } from "../support/server.ts";

test("a view's box has a margin, and stays until the view leaves it, once a second at most", () => {
  const follower = new Follower(), seen = { x: 10, y: 0, width: 8, height: 4 }, first = follower.follow(seen, 0);
  assert.deepEqual(first, [4, 16, -3, 3]);
  // within the margin nothing is asked for, however late
  assert.equal(follower.follow({ ...seen, x: 12 }, 60_000), first);
  assert.equal(follower.follow({ ...seen, width: 12, height: 6 }, 60_000), first);
  // out of it there is another one
  const second = follower.follow({ ...seen, x: 12.1 }, 60_000);
  assert.deepEqual(second.map(value => Number(value.toFixed(6))), [6.1, 18.1, -3, 3]);
  assert.equal(follower.follow({ ...seen, y: 50 }, 60_999), second, "too early");
  assert.deepEqual(follower.follow({ ...seen, y: 50 }, 61_000), [4, 16, 47, 53]);
  // a box that is much larger than what is seen keeps out too little
  assert.deepEqual(follower.follow({ x: 10, y: 50, width: 2.9, height: 1.4 }, 70_000).map(value => Number(value.toFixed(6))), [7.825, 12.175, 48.95, 51.05]);
  follower.forget();
  assert.deepEqual(follower.follow(seen, 70_001), first);
});

test("a box is read from what was typed: open ends, one column on two axes, what cannot be", () => {
  const side = (field: string, low: string, high: string): { field: string; low: string; high: string } => ({ field, low, high });
  assert.deepEqual(readBox([side("p.x", "", ""), side("p.y", " ", "")]), { box: undefined, fault: "" });
  assert.deepEqual(readBox([side("p.x", "-1.5", "2e3"), side("p.y", "", ""), side("p.z", "", "4")]).box, { fields: ["p.x", "p.z"], min: [-1.5, -Number.MAX_VALUE], max: [2000, 4] });
  assert.deepEqual(readBox([side("p.x", "0", "5"), side("p.x", "3", "")]).box, { fields: ["p.x"], min: [3], max: [5] });
  assert.match(readBox([side("p.x", "0", "1"), side("p.x", "3", "")]).fault, /nothing in common/);
  assert.match(readBox([side("p.x", "2", "1")]).fault, /^p\.x: the low end, 2, must not be above the high end, 1$/);
  assert.match(readBox([side("p.x", "1,5", "")]).fault, /^"1,5" is no number/);
  assert.deepEqual(readBox([side("p.x", "1", "1")]).box, { fields: ["p.x"], min: [1], max: [1] });
});

test("errors are positive numbers, and what is suggested is a thousandth of the range", () => {
  assert.deepEqual(readErrors(new Map([["a.x", "0.01"], ["a.y", " "]])), { errors: { "a.x": 0.01 }, fault: "", at: "" });
  for (const text of ["0", "-1", "x", "1e999", "1e-310"]) {
    const { errors, fault, at } = readErrors(new Map([["a.x", "0.01"], ["a.y", text]]));
    assert.deepEqual([errors, at], [{}, "a.y"]);
    assert.match(fault, /^a\.y: ".*" is no error/);
  }
  assert.equal(suggestion([0, 100]), 0.1);
  assert.equal(suggestion([-3, 5, NaN, 1]), 0.005);
  assert.equal(suggestion([0, 99]), 0.05);
  assert.equal(suggestion([1e6, 3e6, Infinity]), 2000);
  for (const none of [[], [4, 4], [NaN]]) assert.equal(suggestion(none), undefined);
});

test("a formula that decides who is shown holds for nobody outside the box", () => {
  const table: ModelTable = { id: 2, columns: [...columnsOf([0]), { role: 7, component: 0, field: 0, bytes: 0 }], components: [0], rows: 0, data: [] };
  resize(table, 100);
  new Float32Array(table.data[1]!.buffer).fill(7);
  const bits = table.data.at(-1)!, world = new World(2 ** 24), hello = decode(json(1, HELLO)) as { kind: "hello"; hello: Hello };
  world.announce(hello.hello);
  const apply = (to: number, blocks: Uint8Array[]): void => {
    const messages = update({ subscription: 1, from: to - 1, to, frame: to, time: 0, full: to === 1 }, blocks);
    world.apply(messages.map(bytes => (decode(bytes) as { kind: "update"; part: UpdatePart }).part));
  };
  bits[0] = 0b101;
  apply(1, [tableBlock(table), valuesBlock(table, 1, Array.from({ length: 100 }, (_, i) => i), 0), valuesBlock(table, 4, [0, 1], 1)]);
  const boxed = new Computed(world.tables[0]!, formula("position.x > 5", world.components), true), all = new Computed(world.tables[0]!, formula("position.x > 5", world.components));
  assert.deepEqual([...boxed.refresh(world.version).data.slice(0, 4)], [1, NaN, 1, NaN]);
  assert.deepEqual([...all.refresh(world.version).data.slice(0, 4)], [1, 1, 1, 1]);
  // who comes inside is shown, though no value has changed
  bits[0] = 0b1010;
  apply(2, [valuesBlock(table, 4, [0], 1)]);
  assert.deepEqual([...boxed.refresh(world.version).data.slice(0, 4)], [NaN, 1, NaN, 1]);
});
