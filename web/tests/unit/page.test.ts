//! The page's parts that need no browser: numbers, axes, ranges, what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Camera } from "../../src/page/camera.ts";
import { entityOf, handle, handleName, nameEntities, slotOf, tickLabels, ticks, value } from "../../src/page/format.ts";
import { conflict, rangeOfEnds, typed } from "../../src/page/range.ts";
import { missing } from "../../src/page/sources.ts";
import { unitOf, withUnit } from "../../src/page/units.ts";
import { Random } from "../support/random.ts";

test("an integer of 64 bits is a handle only where the layout says so", () => {
  const seed = 7n << 32n | 5n;
  assert.equal(value(seed, "u64"), "30064771077");
  assert.equal(value(2n ** 64n - 1n, "u64"), "18446744073709551615");
  assert.equal(value(-(7n << 32n), "i64"), "-30064771072");
  assert.equal(value(seed, "entity"), "5 · 7");
  assert.equal(value(2n ** 64n - 1n, "entity"), "none");
  assert.equal(value([seed, 2n], "u64"), "30064771077  2");
  assert.equal(handle(3n << 32n), "0 · 3");
  assert.equal(value(true, undefined), "yes");
});

test("entities of many ranks are called by their ids", () => {
  const id = 0xb3fe_8bd4_f9c5_7863n;
  assert.equal(entityOf(" 17 "), 17);
  assert.equal(slotOf(7n << 32n | 5n), "5");
  nameEntities(true);
  try {
    assert.deepEqual([handle(id), value(id, "entity"), slotOf(id), handleName()], [String(id), String(id), String(id), "global id"]);
    assert.equal(entityOf(String(id)), id);
    assert.equal(handle(2n ** 64n - 1n), "none");
    for (const text of ["", "-1", "1.5", "x", String(1n << 64n)]) assert.equal(entityOf(text), undefined);
  } finally {
    nameEntities(false);
  }
  assert.equal(handle(7n << 32n | 5n), "5 · 7");
});

test("an empty field of the range is the data's own, and what is no number is told", () => {
  assert.deepEqual(typed(""), { value: undefined, fault: "" });
  assert.deepEqual(typed("  "), { value: undefined, fault: "" });
  for (const [text, number] of [["0", 0], ["50", 50], ["-1.5", -1.5], [" 2e-3 ", 0.002], [".5", 0.5], ["+7.", 7]] as const) assert.deepEqual(typed(text), { value: number, fault: "" });
  for (const text of ["abc", "1,5", "0x10", "1e", "Infinity", "1 2", "1e999", "NaN"]) {
    assert.equal(typed(text).value, undefined);
    assert.match(typed(text).fault, /is no number: write it like 1\.5 or 2e-3/);
  }
  const data = [10, 20] as const, none = { low: undefined, high: undefined };
  assert.deepEqual(rangeOfEnds(data, none, false), [10, 20]);
  assert.deepEqual(rangeOfEnds(data, none, true), [-20, 20]);
  assert.deepEqual(rangeOfEnds(data, { low: undefined, high: 50 }, false), [10, 50], "an empty low end is not 0");
  assert.deepEqual(rangeOfEnds(data, { low: 0, high: undefined }, true), [0, 20]);
  assert.deepEqual(rangeOfEnds(undefined, { low: 1, high: 2 }, false), [1, 2]);
  assert.equal(rangeOfEnds(undefined, { low: 1, high: undefined }, false), undefined);
  for (const ends of [none, { low: 30, high: undefined }, { low: undefined, high: 5 }]) {
    const [low, high] = rangeOfEnds([10, 10], ends, false)!;
    assert.ok(low < high && (ends.low ?? low) === low && (ends.high ?? high) === high);
  }
  assert.match(conflict({ low: 5, high: 5 }), /must be below the high end/);
  assert.equal(conflict({ low: 4, high: 5 }) + conflict({ low: undefined, high: 0 }), "");
});

test("labels of ticks are different at any zoom, and say what they stand for", () => {
  assert.deepEqual(tickLabels(ticks(0, 100, 5)), { offset: "", labels: ["0", "20", "40", "60", "80", "100"] });
  assert.deepEqual(tickLabels(ticks(0.1, 0.35, 5)).labels, ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]);
  const near = tickLabels(ticks(50.1234561, 50.1234566, 5));
  assert.deepEqual(near, { offset: "50.1234", labels: ["+561e-7", "+562e-7", "+563e-7", "+564e-7", "+565e-7", "+566e-7"] });
  const random = new Random(7);
  for (let i = 0; i < 20_000; i++) {
    const size = 10 ** (random.below(24) - 8), middle = (random.below(20_001) / 10_000 - 1) * size, width = Math.max(size * 10 ** -random.below(13), 1e-9);
    const values = ticks(middle - width / 2, middle + width / 2, 2 + random.below(10)), { labels, offset } = tickLabels(values);
    assert.equal(labels.length, values.length);
    assert.equal(new Set(labels).size, labels.length, `${middle} ± ${width / 2}: ${labels.join(" ")}`);
    if (values.length < 2) continue;
    const step = values[1]! - values[0]!;
    values.forEach((of, k) => {
      const read = (offset === "" ? 0 : Number(offset)) + Number(labels[k]);
      assert.ok(Math.abs(read - of) <= step * 0.02 + Math.abs(of) * 1e-14, `${of} is written ${offset} ${labels[k]}`);
    });
  }
});

test("a flat camera goes no closer than numbers can tell apart", () => {
  for (const at of [0, 1, 50, -3e6, 1e12]) {
    const camera = new Camera();
    camera.resize(1000, 600);
    camera.fit([at - 1, at - 1, 0, at + 1, at + 1, 0]);
    for (let i = 0; i < 400; i++) camera.zoom(0.8);
    const [x] = camera.target, across = 1000 * camera.scale;
    const values = ticks(x - across / 2, x + across / 2, 9);
    assert.ok(values.length >= 2, `${values.length} ticks near ${at}`);
    assert.equal(new Set(tickLabels(values).labels).size, values.length);
  }
});

test("what is chosen and not received is missing", () => {
  const chosen = { x: "position.x", y: "position.y", z: "", colour: "velocity.v[1]", formula: undefined, filter: undefined, radius: 1, opacity: undefined, arrows: [], links: "", hidden: new Set<string>() };
  assert.deepEqual(missing(chosen, new Set(["position"])), ["velocity.v[1]"]);
  assert.deepEqual(missing(chosen, new Set(["position", "velocity"])), []);
  assert.deepEqual(missing({ ...chosen, colour: "hot" }, new Set(["velocity"])), ["position.x", "position.y", "hot"]);
});

test("what is shown has the unit that the layout tells", () => {
  const field = (name: string, unit?: string) => ({ name, index: 0, scalar: "f32", length: 0, bytes: 4, ...unit === undefined ? {} : { unit } }) as const;
  const world = {
    components: [
      { id: 0, name: "velocity", storage: "table", fields: [field("x", "m/s"), field("y", "m/s")] },
      { id: 1, name: "body", storage: "table", fields: [field("mass", "kg"), field("charge")] },
    ],
    resourceLayouts: [{ id: 0, name: "clock", presence: 0, fields: [{ ...field("now", "s"), offset: 0 }] }],
  } as const;
  const cases = { "velocity.x": "m/s", "velocity.y[1]": "m/s", "|velocity|": "m/s", "mean(|velocity|)": "m/s", "max(body.mass)": "kg", "|body|": "", "body.charge": "", "clock.now": "s", "count(1)": "", "velocity.x * 2": "", "nobody.x": "" };
  for (const [text, unit] of Object.entries(cases)) assert.equal(unitOf(world, text), unit, text);
  assert.equal(withUnit(world, "clock.now"), "clock.now [s]");
  assert.equal(withUnit(world, "count(1)"), "count(1)");
});
