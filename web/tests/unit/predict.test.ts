//! Prediction against a server that runs the same kernel: right when it can be, corrected when it was not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, type Hello, type UpdatePart } from "../../src/view/protocol.ts";
import { Predictor, type Kernel } from "../../src/view/predict.ts";
import { World } from "../../src/view/world.ts";
import { Random } from "../support/random.ts";
import { HELLO, columnsOf, copy, difference, json, resize, update, type Model, type ModelTable } from "../support/server.ts";

const DRIFT: Kernel = {
  writes: ["position.x"],
  reads: ["velocity.x"],
  step: ({ rows, dt, write, read }) => {
    for (let i = 0; i < rows; i++) write["position.x"]![i]! += read["velocity.x"]![i]! * dt;
  },
  input: ({ rows, write }, by) => {
    for (let i = 0; i < rows; i++) write["position.x"]![i]! += by as number;
  },
};

class Server {
  readonly world = new World(1 << 24);
  readonly table: ModelTable = { id: 2, columns: columnsOf([0, 1]), components: [0, 1], rows: 0, data: [] };
  #sent: Model | undefined;
  #generation = 0;
  time = 0;

  constructor(rows: number) {
    this.world.announce((decode(json(1, HELLO)) as { hello: Hello }).hello);
    resize(this.table, rows);
    new BigUint64Array(this.table.data[0]!.buffer).forEach((_, i, handles) => (handles[i] = BigInt(i)));
    this.v.fill(2);
  }

  get x(): Float32Array {
    return new Float32Array(this.table.data[1]!.buffer);
  }

  get v(): Float32Array {
    return new Float32Array(this.table.data[4]!.buffer);
  }

  step(dt: number): void {
    this.time += dt;
    const { x, v } = this;
    for (let i = 0; i < x.length; i++) x[i]! += v[i]! * dt;
  }

  send(input = 0): void {
    const now: Model = copy(new Map([[2, this.table]])), from = this.#generation++;
    const messages = update({ subscription: 1, from, to: this.#generation, frame: this.#generation, time: this.time, full: !this.#sent, input }, difference(this.#sent, now, new Random(1)));
    this.world.apply(messages.map(bytes => (decode(bytes) as { part: UpdatePart }).part));
    this.#sent = now;
  }
}

const near = (a: number | undefined, b: number): void => assert.ok(Math.abs((a ?? NaN) - b) < 1e-4, `${a} is not ${b}`);

test("a prediction that is right has no error, and runs ahead of the server", () => {
  const server = new Server(100);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { reconcile: "snap" });
  predictor.reconcile();
  const table = server.world.tables[0]!;
  for (let frame = 0; frame < 10; frame++) {
    for (let i = 0; i < 4; i++) {
      predictor.step(0.25 / 4);
      server.step(0.25 / 4);
    }
    near(predictor.column("position.x", table)?.[7], server.x[7]!);
    assert.notEqual(server.world.column("position.x").at(7), server.x[7], "the world's own column stays the server's");
    server.send();
    predictor.reconcile();
    assert.ok(predictor.errorMax < 1e-5);
  }
  assert.equal(predictor.reconciled, 11);
});

test("a state that is late is brought up to the predicted time", () => {
  const server = new Server(10);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { reconcile: "snap", aheadMax: 10 });
  predictor.reconcile();
  for (let i = 0; i < 8; i++) predictor.step(0.125);
  server.step(0.5);
  server.send();
  predictor.reconcile();
  near(predictor.time, 1);
  near(predictor.column("position.x", server.world.tables[0]!)?.[0], 2);
  assert.ok(predictor.errorMax < 1e-5);
});

test("a wrong prediction snaps, or fades, and the error is told", () => {
  for (const reconcile of ["snap", "smooth"] as const) {
    const server = new Server(10);
    server.send();
    const predictor = new Predictor(server.world, DRIFT, { reconcile, smoothSeconds: 0.1 });
    predictor.reconcile();
    predictor.step(0.25);
    server.step(0.25);
    server.x.fill(5, 3, 4);
    server.send();
    predictor.reconcile();
    near(predictor.errorMax, 4.5);
    near(predictor.errorRms, Math.sqrt(4.5 ** 2 / 10));
    const x = (): number | undefined => predictor.column("position.x", server.world.tables[0]!)?.[3];
    near(x(), reconcile === "snap" ? 5 : 0.5);
    predictor.step(0, 0.1);
    near(x(), reconcile === "snap" ? 5 : 5 - 4.5 / Math.E);
    for (let i = 0; i < 20; i++) predictor.step(0, 0.1);
    near(x(), 5);
  }
});

test("a correction goes on through a prediction that was right, and values that are no numbers have none", () => {
  const server = new Server(11);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { reconcile: "smooth", smoothSeconds: 0.1 });
  predictor.reconcile();
  const x = (row: number): number | undefined => predictor.column("position.x", server.world.tables[0]!)?.[row];
  const next = (): void => {
    predictor.step(0.25, 0);
    server.step(0.25);
  };
  next();
  server.x.fill(5, 3, 4);
  server.x.fill(NaN, 6, 7);
  server.x.fill(Infinity, 10, 11);
  server.send();
  predictor.reconcile();
  near(predictor.errorMax, 4.5);
  assert.deepEqual([x(6), x(10)], [NaN, Infinity]);
  predictor.step(0, 0.1);
  near(x(3), 5 - 4.5 / Math.E);
  near(x(4), 0.5);
  next();
  server.send();
  predictor.reconcile();
  near(predictor.errorMax, 0);
  near(x(3), 5.5 - 4.5 / Math.E);
  predictor.step(0, 0.1);
  near(x(3), 5.5 - 4.5 / Math.E ** 2);
  assert.deepEqual([x(6), x(10)], [NaN, Infinity]);
});

test("rows that come and go keep their entities' corrections apart", () => {
  const server = new Server(10);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { reconcile: "smooth", smoothSeconds: 0.1 });
  predictor.reconcile();
  const handles = (): BigUint64Array => new BigUint64Array(server.table.data[0]!.buffer);
  for (let round = 0; round < 12; round++) {
    predictor.step(0.25, 0);
    server.step(0.25);
    // every third round, row 4 becomes another entity, far away; row 7 is off by 2 in each
    const other = round % 3 === 0;
    if (other) {
      handles()[4] = BigInt(100 + round);
      server.x.fill(1000 + round, 4, 5);
    }
    server.x[7]! += 2;
    server.send();
    predictor.reconcile();
    near(predictor.errorMax, 2);
    const shown = predictor.column("position.x", server.world.tables[0]!)!;
    near(shown[4], server.x[4]!);
    near(shown[7], server.x[7]! - 2);
    predictor.step(0, 10);
    near(predictor.column("position.x", server.world.tables[0]!)![7], server.x[7]!);
  }
});

test("inputs are replayed until the server has them, in their order among the steps", () => {
  const server = new Server(4);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { reconcile: "snap", aheadMax: 10 });
  predictor.reconcile();
  const x = (): number | undefined => predictor.column("position.x", server.world.tables[0]!)?.[0];
  predictor.step(0.5);
  predictor.input(1, 10);
  predictor.step(0.5);
  predictor.input(2, 100);
  near(x(), 112);
  // the server is at 0.5 and knows of none
  server.step(0.5);
  server.send(0);
  predictor.reconcile(0);
  near(x(), 112);
  assert.equal(predictor.pendingInputs, 2);
  // at 1 it has the first
  server.step(0.5);
  server.x.forEach((_, i, all) => (all[i]! += 10));
  server.send(1);
  predictor.reconcile(1);
  near(x(), 112);
  assert.equal(predictor.pendingInputs, 1);
  // it never gets the second: an acknowledgement beyond it takes it back
  server.send(2);
  predictor.reconcile(2);
  near(x(), 12);
  assert.equal(predictor.pendingInputs, 0);
});

test("rows that hold other entities now are not compared; the history stays bounded", () => {
  const server = new Server(10);
  server.send();
  const predictor = new Predictor(server.world, DRIFT, { aheadMax: 1e9 });
  predictor.reconcile();
  for (let i = 0; i < 5000; i++) predictor.step(1 / 64);
  near(predictor.time, 5000 / 64);
  resize(server.table, 9);
  new BigUint64Array(server.table.data[0]!.buffer)[4] = 77n;
  server.x.fill(1000, 4, 5);
  server.send();
  predictor.reconcile();
  assert.ok(predictor.errorMax < 1e-3, `${predictor.errorMax}`);
  assert.equal(predictor.column("position.x", server.world.tables[0]!)?.[4]! > 1000, true);
  assert.throws(() => new Predictor(server.world, { ...DRIFT, writes: ["odds.f4"] }), /odds.f4 is u64; kernels take f32 and f64/);
});
