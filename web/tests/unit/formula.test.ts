//! Formulas, what they give for a table's rows, histograms, and the states that are kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Computed } from "../../src/page/computed.ts";
import { formula, FormulaError } from "../../src/page/expression.ts";
import { histogram } from "../../src/page/legend.ts";
import { Camera } from "../../src/page/camera.ts";
import { cameraText, placeCamera } from "../../src/page/address.ts";
import { Past, States } from "../../src/page/states.ts";
import { rangeOf } from "../../src/page/sources.ts";
import type { World } from "../../src/view/world.ts";
import { Led } from "../support/led.ts";
import { columnsOf, mutate, resize, type Model, type ModelTable } from "../support/server.ts";

const layout = [
  { id: 0, name: "position", storage: "table", fields: ["x", "y", "z"].map((name, index) => ({ name, index, scalar: "f32", length: 0, bytes: 4 })) },
  { id: 1, name: "v", storage: "table", fields: [{ name: "a", index: 0, scalar: "f64", length: 2, bytes: 16 }] },
  { id: 2, name: "frozen", storage: "toggle", fields: [] },
  { id: 3, name: "to", storage: "table", fields: [{ name: "whom", index: 0, scalar: "entity", length: 0, bytes: 8 }] },
] as const as unknown as Parameters<typeof formula>[1];

/** What a formula of constants comes to. */
function worth(text: string): number {
  const table = { rows: 1, capacity: 1, parts: [], columns: new Map(), toggles: new Map(), has: () => false } as unknown as ConstructorParameters<typeof Computed>[0];
  return new Computed(table, formula(text, layout)).refresh(1).data[0]!;
}

test("operators bind as everywhere", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["1 + 2 * 3", 7], ["(1 + 2) * 3", 9], ["-2^2", -4], ["2^3^2", 512], ["2^-1", 0.5], ["7 % 4 - 1", 2], ["8 / 4 / 2", 1], ["|1 - 3|", 2], ["||1 - 3| - 5|", 3],
    ["1 < 2 and 3 >= 3", 1], ["1 < 2 && not 3 > 4", 1], ["0 or 2 == 2", 1], ["0 || 0", 0], ["1 || 0 and 0", 1], ["|-1| || 0", 1], ["!1", 0], ["sqrt(16) + max(1, 2)", 6],
    ["1e3 + .5", 1000.5], ["min(|-3|, 2) * 2", 4], ["not 0 and 1", 1], ["1 != 2", 1], ["log(-1) > 0 or 0", 0], ["not log(-1)", NaN], ["cbrt(27)", 3],
  ];
  for (const [text, value] of cases) assert.equal(worth(text), value, text);
});

test("what is no formula is told, with what would be one", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["positon.x", /no component "positon"; there are position, v, frozen, to/], ["position.w", /no field position\.w; there are position\.x/], ["position > 1", /vector of 3 values; write \|\.\.\.\|/],
    ["v.a", /vector of 2/], ["v.a[2]", /has 2 values: \[0\] to \[1\]/], ["position.x[0]", /leave \[0\] out/], ["|position + v|", /vectors of 3 and of 2/], ["to.whom", /handle/],
    ["1 +", /where a value should be/], ["1 2", /write an operator/], ["(1", /wants a "\)"/], ["|1", /wants a "\|"/], ["foo(1)", /no function "foo"/], ["max(1)", /two values, not 1/],
    ["sqrt(position)", /vector of 3/], ["1 @ 2", /"@" means nothing/], ["has(nobody)", /no component "nobody"/], [`${"(".repeat(80)}1${")".repeat(80)}`, /nested/], ["1+".repeat(300), /characters/],
    [`${"-".repeat(100)}1`, /nested/], [`${"|".repeat(99)}1`, /nested/], ["constructor(1)", /no function/], ["toString.x", /no component/], ["", /where a value/],
  ];
  for (const [text, why] of cases) assert.throws(() => formula(text, layout), (error: Error) => error instanceof FormulaError && why.test(error.message), text);
});

/** A formula by hand, as plainly as can be. */
function plainly(led: Led): Map<number, number[]> {
  const out = new Map<number, number[]>();
  for (const table of led.world.tables) {
    out.set(table.id, Array.from({ length: table.rows }, (_, row) => {
      const values = table.row(row), [x, y, z] = ["x", "y", "z"].map(k => Number(values.get(`position.${k}`) ?? NaN)) as [number, number, number];
      const frozen = table.toggles.get("frozen")?.has(row) ?? table.has("frozen"), level = Number(values.get("mood.level") ?? NaN);
      const value = Math.sqrt(x * x + y * y + z * z) > 1 && (!frozen || level > 3) ? 1 : 0;
      return value;
    }));
  }
  return out;
}

test("computed values follow whatever changes", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const led = new Led(seed), model: Model = new Map(), text = "|position| > 1 and (not frozen or mood.level > 3)";
    const read = formula(text, led.world.components), kept = new Map<object, Computed>();
    for (let step = 0; step < 25; step++) {
      mutate(model, led.random);
      led.lead(model);
      // sometimes several updates go by between two looks
      if (led.random.chance(0.4)) continue;
      const wanted = plainly(led);
      for (const table of led.world.tables) {
        let computed = kept.get(table);
        if (!computed) kept.set(table, computed = new Computed(table, read));
        const { data } = computed.refresh(led.world.version);
        assert.deepEqual([...data.subarray(0, table.rows)], wanted.get(table.id), `seed ${seed}, step ${step}, table ${table.id}`);
      }
    }
  }
});

test("kept states come back byte for byte, within their memory", () => {
  for (let seed = 1; seed <= 4; seed++) {
    const led = new Led(seed), model: Model = new Map(), states = new States({ bytesMax: 1_500_000, statesMax: 12, gapMs: 0 }), bytes = new Map<number, string>();
    const text = (tables: World["tables"]): string => JSON.stringify(tables.map(table => [table.id, table.rows, table.components, table.parts.map(part => [part.key, [...part.bytes.subarray(0, part.bytesOf(table.rows))]])]));
    for (let step = 0; step < 40; step++) {
      if (led.random.chance(0.8)) mutate(model, led.random);
      led.lead(model);
      states.record(led.world, step);
      bytes.set(led.world.generation, text(led.world.tables));
      assert.ok(states.bytes <= 1_500_000 && states.all.length <= 12);
      const held = new Set(states.all.flatMap(state => state.tables.flatMap(table => table.parts.map(({ kept }) => kept.bytes))));
      assert.equal([...held].reduce((sum, one) => sum + one.length, 0), states.bytes, "the books are right");
    }
    assert.ok(states.all.length > 1 && states.dropped > 0, `${states.all.length} kept`);
    const past = new Past(led.world);
    for (let look = 0; look < 30; look++) {
      const state = led.random.pick(states.all);
      past.load(state);
      assert.equal(text(past.tables), bytes.get(state.generation), `seed ${seed}, generation ${state.generation}`);
      for (const handle of [...past.entities].slice(0, 3)) assert.ok(past.entities.find(handle));
    }
  }
});

test("a column that does not change is kept once", () => {
  const led = new Led(3), table: ModelTable = { id: 2, columns: columnsOf([0, 1]), components: [0, 1], rows: 0, data: [] }, model: Model = new Map([[2, table]]);
  resize(table, 5000);
  const states = new States({ bytesMax: 1e9, statesMax: 100, gapMs: 0 });
  for (let step = 0; step < 10; step++) {
    new Float32Array(table.data[1]!.buffer)[step] = step + 1;
    led.lead(model);
    states.record(led.world, step);
  }
  // handles and the five other columns once, x ten times
  assert.equal(states.bytes, 5000 * (8 + 5 * 4) + 10 * 5000 * 4);
  assert.equal(states.all.length, 10);
});

test("large states are kept less often, so that the memory lasts", () => {
  const led = new Led(4), table: ModelTable = { id: 2, columns: columnsOf([0]), components: [0], rows: 0, data: [] }, model: Model = new Map([[2, table]]);
  resize(table, 1000);
  // a state is a tenth of the memory, which is to last for a second; further ones need less, as handles stay
  const states = new States({ bytesMax: 200_000, statesMax: 100, gapMs: 5, spanMs: 1000 }), at: number[] = [];
  for (let step = 0; step < 40; step++) {
    for (const k of [1, 2, 3]) new Float32Array(table.data[k]!.buffer).fill(step + k);
    led.lead(model);
    if (states.record(led.world, step * 10)) at.push(step * 10);
  }
  assert.deepEqual(at, [0, 60, 120, 180, 240, 300, 360]);
});

test("histograms count every value that has a place", () => {
  const sorted = Float64Array.from([-5, 0, 1, 1, 2, 9, 10, 30]);
  assert.deepEqual(histogram(sorted, 0, 10, false, 5), [4, 1, 0, 0, 3]);
  assert.deepEqual(histogram(Float64Array.from([-1, 0, 1, 10, 100, 1e6]), 1, 1000, true, 3), [1, 1, 2]);
  assert.deepEqual(histogram(undefined, 0, 1, false, 2), [0, 0]);
  assert.deepEqual(rangeOf(Float64Array.from([-3, -2, 5, 7]), true), [5, 7]);
  assert.equal(rangeOf(Float64Array.from([-3, -2]), true), undefined);
});

test("a camera comes back from its text, and no other text moves it", () => {
  const camera = new Camera(), other = new Camera();
  camera.resize(800, 600);
  for (const orbit of [false, true]) {
    camera.orbit = orbit;
    camera.fit([-3, 4, 5, 10, 20, 1e4]);
    camera.turn(40, 30);
    assert.ok(placeCamera(other, cameraText(camera)));
    assert.equal(cameraText(other), cameraText(camera));
  }
  const before = cameraText(other);
  for (const text of [null, "", "2d", "3d,1,2,3", "2d,1,2,3,0", "2d,1,2,3,-1", "2d,NaN,2,3,1", "3d,1,2,3,1,x,0", "4d,1,2,3,1", "2d,1,2,3,Infinity"]) assert.equal(placeCamera(other, text), false, String(text));
  assert.equal(cameraText(other), before);
});

test("the two parts of an orbit's matrix are the matrix", () => {
  const camera = new Camera();
  camera.resize(640, 480);
  for (const orbit of [false, true]) {
    camera.orbit = orbit;
    camera.fit([-3, 4, 5, 10, 20, 100]);
    camera.turn(70, -20);
    const { view, projection } = camera.parts(), matrix = camera.matrix(), at = [4, 9, 50, 1];
    const times = (m: Float32Array, v: number[]): number[] => [0, 1, 2, 3].map(row => v.reduce((sum, value, k) => sum + m[k * 4 + row]! * value, 0));
    const two = times(projection, times(view, at)), one = times(matrix, at);
    for (const k of orbit ? [0, 1, 2, 3] : [0, 1, 3]) assert.ok(Math.abs(two[k]! - one[k]!) < 1e-3 * Math.max(1, Math.abs(one[k]!)), `${orbit} ${k}: ${two[k]} is not ${one[k]}`);
  }
});
