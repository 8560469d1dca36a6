//! Small numbers: what their bits stand for, alone and in a column that a formula looks at.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Computed } from "../../src/page/computed.ts";
import { formula } from "../../src/page/expression.ts";
import { numberOf, scalarBytes, scalarOf, smallNumbers, type ScalarType } from "../../src/view/types.ts";

test("bits stand for numbers", () => {
  const cases: readonly (readonly [ScalarType, number, number])[] = [
    ["f16", 0x3c00, 1], ["f16", 0xbe00, -1.5], ["f16", 0x7bff, 65504], ["f16", 1, 2 ** -24], ["f16", 0x83ff, -1023 * 2 ** -24], ["f16", 0xfc00, -Infinity], ["f16", 0x7e00, NaN],
    ["f16", 0x8000, -0], ["bf16", 0x3fc0, 1.5], ["bf16", 0xff80, -Infinity], ["bf16", 0x7fc0, NaN], ["unorm8", 255, 1], ["unorm8", 51, Math.fround(0.2)],
    ["unorm16", 65535, 1], ["unorm16", 1, Math.fround(1 / 65535)], ["snorm8", -127, -1], ["snorm8", -128, -1], ["snorm16", -32768, -1], ["snorm16", 32767, 1],
  ];
  for (const [type, bits, value] of cases) {
    assert.ok(Object.is(numberOf(type, bits), value), `${type} ${bits} is ${numberOf(type, bits)}, not ${value}`);
    assert.ok(Object.is(scalarOf(type, bits), value));
  }
  assert.equal(scalarBytes("f16") + scalarBytes("unorm8"), 3);
  // others are what their elements are; no name of an object's own is a type
  assert.equal(numberOf("u64", 7n), 7);
  assert.equal(smallNumbers("toString"), undefined);
});

test("formulas see numbers, not bits", () => {
  const layout = [
    { id: 0, name: "spark", storage: "table", fields: [{ name: "glow", index: 0, scalar: "unorm8", length: 0, bytes: 1 }, { name: "way", index: 1, scalar: "f16", length: 2, bytes: 4 }] },
  ] as unknown as Parameters<typeof formula>[1];
  const stamps = Float64Array.of(1);
  const columns = new Map<string, unknown>([
    ["spark.glow", { type: "unorm8", lanes: 1, stamps, data: Uint8Array.of(0, 51, 255) }],
    ["spark.way", { type: "f16", lanes: 2, stamps, data: Uint16Array.of(0x3c00, 0x4000, 0xc000, 0, 0, 0x3800) }],
  ]);
  const table = { rows: 3, capacity: 3, parts: [], columns, toggles: new Map(), has: () => true } as unknown as ConstructorParameters<typeof Computed>[0];
  const values = (text: string): number[] => [...new Computed(table, formula(text, layout)).refresh(1).data];
  assert.deepEqual(values("spark.glow * 5"), [0, 1, 5]);
  assert.deepEqual(values("spark.way[1]"), [2, 0, 0.5]);
  assert.deepEqual(values("|spark.way|"), [Math.fround(Math.sqrt(5)), 2, 0.5]);
});
