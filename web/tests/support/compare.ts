//! Two states, byte by byte.

import assert from "node:assert/strict";
import type { World } from "../../src/view/world.ts";
import type { Model } from "./server.ts";

/** The view-world holds exactly the model's tables, rows and bytes. */
export function sameAsModel(world: World, model: Model, what: string): void {
  assert.deepEqual([...world.raw.keys()].sort((a, b) => a - b), [...model.keys()].sort((a, b) => a - b), `${what}: tables`);
  for (const [id, table] of model) {
    const mine = world.raw.get(id)!;
    assert.equal(mine.rows, table.rows, `${what}: rows of table ${id}`);
    assert.equal(mine.parts.length, table.columns.length, `${what}: columns of table ${id}`);
    mine.parts.forEach((part, place) => {
      const bytes = part.bytes.subarray(0, part.bytesOf(table.rows));
      assert.equal(Buffer.compare(bytes, table.data[place]!), 0, `${what}: column ${part.key} of table ${id}`);
      assert.ok(part.bytes.subarray(bytes.length).every(byte => byte === 0), `${what}: what lies beyond the rows of ${part.key} is zero`);
    });
  }
}

/** Two view-worlds hold the same bytes. */
export function sameWorlds(a: World, b: World, what: string): void {
  assert.deepEqual([...a.raw.keys()].sort((x, y) => x - y), [...b.raw.keys()].sort((x, y) => x - y), `${what}: tables`);
  for (const [id, table] of a.raw) {
    const other = b.raw.get(id)!;
    assert.equal(table.rows, other.rows, `${what}: rows of table ${id}`);
    assert.deepEqual(table.parts.map(part => part.key), other.parts.map(part => part.key), `${what}: columns of table ${id}`);
    table.parts.forEach((part, place) => {
      const length = part.bytesOf(table.rows);
      assert.equal(Buffer.compare(part.bytes.subarray(0, length), other.parts[place]!.bytes.subarray(0, length)), 0, `${what}: column ${part.key} of table ${id}`);
    });
  }
}
