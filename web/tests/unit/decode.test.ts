//! The decoder against a model: every update leads to the model's bytes, and no damage does more than throw.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../src/view/errors.ts";
import { decode, encodeAck, encodeInput, encodeSubscribe, type Hello, type UpdatePart } from "../../src/view/protocol.ts";
import { Assembler, World } from "../../src/view/world.ts";
import { sameAsModel } from "../support/compare.ts";
import { Random } from "../support/random.ts";
import {
  HELLO, columnsOf, copy, difference, json, mutate, reason, resize, tableBlock, update, valuesBlock, type Model, type ModelTable,
} from "../support/server.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1e9);
const BYTES_MAX = 8 << 20;

function hello(): Hello {
  const message = decode(json(1, HELLO));
  assert.equal(message.kind, "hello");
  return (message as { hello: Hello }).hello;
}

function part(bytes: Uint8Array<ArrayBuffer>): UpdatePart {
  const message = decode(bytes);
  assert.equal(message.kind, "update");
  return (message as { part: UpdatePart }).part;
}

function fresh(bytesMax = BYTES_MAX): World {
  const world = new World(bytesMax);
  world.announce(hello());
  return world;
}

function feed(world: World, messages: Uint8Array<ArrayBuffer>[], assembler = new Assembler(BYTES_MAX)): void {
  for (const bytes of messages) {
    const parts = assembler.take(part(bytes));
    if (parts) world.apply(parts);
  }
}

function particles(rows: number): ModelTable {
  const table: ModelTable = { id: 2, columns: columnsOf([0, 1, 4]), components: [0, 1, 4], rows: 0, data: [] };
  resize(table, rows);
  return table;
}

const head = (to: number, full = false): Parameters<typeof update>[0] => ({ subscription: 1, from: to - 1, to, frame: to, time: to / 60, full });

test(`random worlds arrive byte by byte (seed ${SEED})`, () => {
  for (let round = 0; round < 12; round++) {
    const random = new Random(SEED + round), world = fresh(), assembler = new Assembler(BYTES_MAX);
    let model: Model = new Map();
    for (let to = 1; to < 60; to++) {
      const next = copy(model), full = to === 1 || random.chance(0.05);
      mutate(next, random);
      const count = random.chance(0.5) ? 1 : 1 + random.below(4);
      feed(world, update(head(to, full), difference(full ? undefined : model, next, random, count === 1), count), assembler);
      sameAsModel(world, next, `seed ${SEED + round}, update ${to}`);
      assert.equal(world.generation, to);
      model = next;
    }
  }
});

test(`damaged messages throw ProtocolError, change nothing and allocate nothing beyond the bound (seed ${SEED})`, () => {
  let refused = 0;
  for (let round = 0; round < 30; round++) {
    const random = new Random(SEED ^ round * 7919);
    let model: Model = new Map();
    for (let i = 0; i < 8; i++) mutate(model, random);
    const start = update(head(1, true), difference(undefined, model, random));
    const next = copy(model);
    for (let i = 0; i < 3; i++) mutate(next, random);
    const good = update(head(2), difference(model, next, random, false), 1 + random.below(3));
    for (let attempt = 0; attempt < 30; attempt++) {
      const world = fresh();
      feed(world, start);
      const bad = good.map(bytes => bytes.slice()), victim = random.pick(bad);
      const place = bad.indexOf(victim), kind = random.below(4);
      if (kind === 0) {
        const cut = victim.slice(0, random.below(victim.length / 8) * 8);
        if (cut.length >= 8 && random.chance(0.7)) new DataView(cut.buffer).setUint32(4, cut.length, true);
        if (cut.length >= 64 && random.chance(0.7)) new DataView(cut.buffer).setUint32(56, cut.length - 64, true);
        bad[place] = cut;
      } else if (kind === 1) {
        for (let i = 0; i <= random.below(8); i++) victim[random.below(victim.length)]! ^= 1 << random.below(8);
      } else if (kind === 2) {
        const at = random.below(victim.length / 4) * 4;
        new DataView(victim.buffer).setUint32(at, random.pick([0, 1, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000, random.u32(), 65_535]), true);
      } else {
        const at = 64 + random.below(Math.max(1, (victim.length - 64) / 8)) * 8;
        if (at < victim.length) victim.copyWithin(at, 64 + random.below((victim.length - 64) / 8) * 8);
      }
      const begun = performance.now();
      try {
        feed(world, bad);
      } catch (error) {
        assert.ok(error instanceof ProtocolError, `seed ${SEED}, round ${round}: ${String(error)} ${(error as Error).stack}`);
        refused++;
        sameAsModel(world, model, "after a refused update");
      }
      assert.ok(world.bytes <= BYTES_MAX * 1.5);
      assert.ok(performance.now() - begun < 20_000, "it hangs");
    }
  }
  assert.ok(refused > 300, `only ${refused} were refused`);
});

test(`damaged HELLO and noise (seed ${SEED})`, () => {
  const random = new Random(SEED), good = json(1, HELLO);
  for (let i = 0; i < 3000; i++) {
    const bytes = random.chance(0.5) ? good.slice() : new Uint8Array(random.below(40) * 8);
    for (let k = 0; k <= random.below(6); k++) if (bytes.length > 0) bytes[random.below(bytes.length)] = random.u32();
    if (random.chance(0.5) && bytes.length >= 8) {
      bytes[0] = random.pick([1, 2, 3, 4, 5, 6, 7]);
      bytes[1] = 1;
      bytes[2] = bytes[3] = 0;
      new DataView(bytes.buffer).setUint32(4, bytes.length, true);
    }
    try {
      decode(bytes);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
    }
  }
});

test("limits: rows, values and parts beyond what was agreed are refused before memory is asked for", () => {
  const world = fresh();
  const table = particles(0);
  const claims = (rows: number): Uint8Array<ArrayBuffer>[] => update(head(1, true), [tableBlock({ ...table, rows })]);
  assert.throws(() => feed(world, claims(0xffff_fff0)), /4294967280|bytes/);
  assert.throws(() => feed(world, claims(10_000_000)), /raise memoryBytesMax/);
  feed(world, claims(1000));
  assert.equal(world.entities.count, 1000);
  // a value for every row, again and again: more work than there is state
  const full = particles(1000), one = valuesBlock(full, 1, Array.from({ length: 1000 }, (_, i) => i), 0);
  assert.throws(() => feed(world, update(head(2), Array.from({ length: 60 }, () => one))), /more values than/);
  // parts without end
  const assembler = new Assembler(4096), endless = update(head(2), [tableBlock({ ...table, rows: 1000 })], 1)[0]!;
  new DataView(endless.buffer).setUint16(2, 0, true);
  new DataView(endless.buffer).setUint16(14, 0, true);
  assert.throws(() => {
    for (let i = 0; i < 1000; i++) {
      new DataView(endless.buffer).setUint16(12, i, true);
      assembler.take(part(endless.slice()));
    }
  }, /more than 4096 bytes/);
});

test("a delta from another generation is refused", () => {
  const world = fresh();
  feed(world, update(head(5, true), [tableBlock(particles(3))]));
  assert.throws(() => feed(world, update(head(7), [])), /from generation 6; this world is at 5/);
  feed(world, update(head(6), []));
  assert.equal(world.generation, 6);
});

test("quantised values are offset + scale × value, rounded to the field's type", () => {
  const world = fresh(), table = particles(4);
  feed(world, update(head(1, true), [tableBlock(table)]));
  const block = new Uint8Array(32 + 16 + 8 + 8), view = new DataView(block.buffer);
  block.set([3, 3, 0, 0]);
  view.setUint32(4, block.length, true);
  [2, 1, 1, 3, 0].forEach((word, i) => view.setUint32(8 + i * 4, word, true));
  view.setFloat64(32, -10, true);
  view.setFloat64(40, 0.1, true);
  view.setUint32(48, 1, true);
  view.setUint32(52, 3, true);
  [0, 100, 65_535].forEach((value, i) => view.setUint16(56 + i * 2, value, true));
  feed(world, update(head(2), [block]));
  assert.deepEqual([...world.column("position.x")], [0, -10, 0, Math.fround(-10 + 0.1 * 65_535)]);
  block[1] = 4;
  assert.throws(() => feed(world, update(head(3), [block])), ProtocolError);
  view.setUint32(12, 0, true);
  assert.throws(() => feed(world, update(head(3), [block])), /no float/);
});

test("columns, entities and resources show what the tables hold", () => {
  const world = fresh(), a = particles(70), b: ModelTable = { id: 3, columns: columnsOf([0, 9]), components: [0, 9], rows: 0, data: [] };
  resize(b, 2);
  new Float32Array(a.data[1]!.buffer).forEach((_, i, x) => (x[i] = i));
  new BigUint64Array(a.data[0]!.buffer).forEach((_, i, h) => (h[i] = BigInt(i) | 7n << 32n));
  new BigUint64Array(b.data[0]!.buffer).set([100n, 101n]);
  new Float32Array(b.data[1]!.buffer).set([1000, NaN]);
  new Int16Array(b.data[4]!.buffer).set([5, 6]);
  b.data[5]![0] = 2;
  a.data.at(-1)![8] = 0b10_0000;
  const resources: ModelTable = { id: 1, columns: [{ role: 6, component: 0, field: 0, bytes: 1 }], components: [], rows: 0, data: [] };
  resize(resources, 20);
  resources.data[0]![0] = 1;
  new DataView(resources.data[0]!.buffer).setFloat32(8, -9.5, true);
  const model: Model = new Map([[2, a], [3, b], [1, resources]]);
  feed(world, update(head(1, true), difference(undefined, model, new Random(1))));
  const x = world.column("position.x");
  assert.equal(x.length, 72);
  assert.equal(x.at(69), 69);
  assert.equal(x.at(70), 1000);
  assert.ok(Number.isNaN(x.at(-1)));
  assert.equal(x.at(72), undefined);
  assert.equal(x.parts.length, 2);
  assert.deepEqual(x.toArray().length, 72);
  assert.deepEqual([...world.column("mood.level")], [undefined, 6]);
  assert.deepEqual([...world.column("mood.level").toArray()], [6]);
  assert.throws(() => world.column("position.w"), /there is no column position.w/);
  assert.equal(world.entities.count, 72);
  assert.equal(world.entities.find(100)?.row, 0);
  assert.equal(world.entities.find(5n | 7n << 32n)?.row, 5);
  assert.equal(world.entities.find(5n), undefined);
  assert.equal(world.entities.get(69)?.get("frozen"), true);
  assert.equal(world.entities.get(68)?.get("frozen"), false);
  assert.equal(world.entities.get(100)?.has("mood.level"), false);
  assert.equal(world.resource("gravity")?.get("y"), -9.5);
  assert.equal(world.resource("gravity")?.get("n"), 0n);
  assert.equal(world.tables.find(table => table.id === 2)?.toggles.get("frozen")?.count(70), 1);
});

test("messages of the client are as the protocol has them", () => {
  const ack = new DataView(encodeAck(3, 2 ** 40 + 5).buffer);
  assert.deepEqual([ack.getUint8(0), ack.getUint8(1), ack.getUint32(4, true), ack.getUint32(8, true), ack.getBigUint64(16, true)], [0x82, 1, 24, 3, 2n ** 40n + 5n]);
  const input = encodeInput(9, "push", new Uint8Array([1, 2, 3]));
  assert.equal(Buffer.from(input).toString("hex"), "840100002300000009000000040000000300000000000000" + "7075736800000000" + "010203");
  const subscribe = encodeSubscribe({ columns: ["position"], rateHz: 20 }, { session: "s", view: "v", generation: 4 });
  assert.deepEqual(JSON.parse(Buffer.from(subscribe.subarray(8)).toString()), { columns: ["position"], rate_hz: 20, resume: { session: "s", view: "v", generation: 4 } });
  const bye = decode(reason(6, 5, "too slow"));
  assert.deepEqual(bye, { kind: "bye", code: 5, text: "too slow" });
});
