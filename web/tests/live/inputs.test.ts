//! Inputs with prediction against the real gateway and a real simulation, in node and in Chromium.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/view/connect.ts";
import { Predictor, type Kernel } from "../../src/view/predict.ts";
import { CHROMIUM, launch, open } from "../support/browser.ts";
import { ask, engine, noProgram, until } from "../support/engine.ts";

const RUN = ["--entities", "2000", "--frames", "1000000000", "--workers", "local", "--inputs", "emitter.rate,gravity"];

/** A handle and an f32. */
function entry(low: number, high: number, value: number): Uint8Array {
  const bytes = new Uint8Array(12), view = new DataView(bytes.buffer);
  view.setUint32(0, low, true);
  view.setUint32(4, high, true);
  view.setFloat32(8, value, true);
  return bytes;
}

test("a predicted value never falls back while its inputs are under way", { skip: noProgram, timeout: 120_000 }, async () => {
  const real = await engine("inputs", RUN, ["--inputs"]);
  const connection = connect(`ws://127.0.0.1:${real.port}/live`, { columns: ["emitter"] });
  try {
    await connection.ready();
    assert.deepEqual(connection.hello!.inputs, ["emitter.rate", "gravity"]);
    const table = connection.world.tables.find(one => one.rows > 0 && one.columns.has("emitter.rate"))!;
    const handle = new Uint32Array(table.handles.bytes.buffer, table.handles.bytes.byteOffset, 2), [low, high] = [handle[0]!, handle[1]!];
    const kernel: Kernel = {
      writes: ["emitter.rate"], reads: [],
      step: () => undefined,
      input: ({ write }, value) => void (write["emitter.rate"]![0] = value as number),
    };
    const predictor = new Predictor(connection.world, kernel, { reconcile: "snap" });
    predictor.reconcile();
    const shown = (): number => predictor.column("emitter.rate", table)![0]!;
    let last = shown(), frames = 0, errors = 0;
    connection.onFrame(frame => {
      frames++;
      predictor.reconcile(frame.input);
      if (shown() !== last) errors++;
    });
    for (let count = 1; count <= 60; count++) {
      last = 50 + count / 4;
      predictor.input(connection.send("emitter.rate", entry(low, high, last)), last);
      assert.equal(shown(), last);
      await new Promise(done => setTimeout(done, 12));
    }
    await until("the last input", () => predictor.pendingInputs === 0);
    assert.equal(connection.acknowledgedInput, 60);
    assert.ok(frames > 10);
    assert.equal(errors, 0, "what is acknowledged is contained");
    assert.equal(table.columns.get("emitter.rate")!.data[0], last);
    assert.throws(() => connection.send("position", new Uint8Array(20)), /takes no input/);
    // an entity that is gone: it is done with, and changes nothing
    const sequence = connection.send("emitter.rate", entry(low, high + 1, 1));
    await until("a stale input", () => connection.acknowledgedInput === sequence);
    assert.equal(table.columns.get("emitter.rate")!.data[0], last);
  } finally {
    connection.close();
    await real.close();
  }
});

test("a page in Chromium sends inputs", { skip: noProgram || (CHROMIUM ? false : "there is no Chromium"), timeout: 120_000 }, async () => {
  const real = await engine("inputs-page", RUN, ["--inputs=gravity"]);
  const browser = await launch();
  try {
    const { page, errors } = await open(browser, `http://127.0.0.1:${real.port}/`);
    await page.waitForFunction(() => hypostyle.connection.state === "live");
    assert.deepEqual(await page.evaluate(() => [...hypostyle.connection.hello!.inputs]), ["gravity"]);
    const sequence = await page.evaluate(() => hypostyle.connection.send("gravity", new Uint8Array(new Float32Array([2.5, -1, 0.25]).buffer)));
    await page.waitForFunction(sent => hypostyle.connection.acknowledgedInput >= sent, sequence);
    const { snapshot } = ask("inspect", real.region) as { snapshot: { resources: Record<string, unknown> } };
    const gravity = JSON.stringify(snapshot.resources["gravity"]);
    assert.match(gravity, /2\.5/);
    assert.match(gravity, /0\.25/);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await real.close();
  }
});
