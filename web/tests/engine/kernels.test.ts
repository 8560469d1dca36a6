//! Systems in JavaScript: the bytes of a loop whoever does the work, kernels that fail, and what is wrong said beforehand.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Engine as EngineType, EngineOptions, EngineSystem, EngineWorld } from "../../src/engine/index.ts";
import { BUILT, load, type Engines } from "../support/native.ts";
import { expected, held, KERNELS, lives, LIVING, SYSTEMS, values, world } from "../support/own-world.ts";

let engines: Engines;
const running: EngineType[] = [];
const MODES = [{ mode: "in-process" }, { workers: 1 }] as const;

before(async () => { engines = await load(); });
after(async () => { for (const engine of running) await engine.stop(); });

async function start(scene: EngineWorld, options: Omit<EngineOptions, "scene"> = {}): Promise<EngineType> {
  const engine = await engines.Engine.start({ scene, ...options });
  running.push(engine);
  return engine;
}

/** Waits until all threads have come to their workers. */
async function come(engine: EngineType): Promise<void> {
  while ((await engine.status()).workers.some(worker => worker.alive === 0)) await new Promise(done => setTimeout(done, 2));
}

const one = (system: Partial<EngineSystem>) => world(KERNELS, [{ name: "it", writes: ["position.x"], kernel: "integrate", ...system }]);

test("in-process and with workers, the bytes are those of a loop", async () => {
  const FRAMES = 30, hashes = new Set<string>(), loop = expected(FRAMES);
  for (const options of [{ mode: "in-process" }, { workers: 0 }, { workers: 1 }, { workers: 2 }, { workers: 3 }] as const) {
    const threads = "workers" in options ? options.workers : 0, who = JSON.stringify(options);
    // on a busy machine they may come too late for any of so few frames
    for (let tries = threads > 0 ? 20 : 1, jobs = 0; jobs === 0 && tries > 0; tries--) {
      const engine = await start(world(KERNELS), options);
      assert.equal(engine.mode, "mode" in options ? "in-process" : "workers", engine.why);
      assert.deepEqual(engine.scene, { scene: "own", about: "", dt: 0.02, entities: 65_000 });
      await come(engine);
      assert.equal((await engine.step(FRAMES)).frame, FRAMES);
      const snapshot = await engine.pin();
      assert.deepEqual(values(snapshot), loop, who);
      await snapshot.release();
      hashes.add(await engine.hash());
      jobs = (await engine.status()).jobsOnWorkers;
      await engine.stop();
      assert.ok(threads > 0 ? jobs > 0 || tries > 1 : jobs === 0, `${who}: ${jobs} jobs on workers`);
    }
  }
  assert.equal(hashes.size, 1);
});

test("what kernels spawn, despawn, add, remove and set is that of a loop, whoever does the work", async () => {
  const FRAMES = 12, hashes = new Set<string>(), loop = lives(FRAMES);
  for (const options of [{ mode: "in-process" }, { workers: 1 }, { workers: 3 }] as const) {
    const engine = await start(LIVING, options);
    await engine.step(FRAMES);
    const snapshot = await engine.pin();
    assert.deepEqual(held(snapshot), loop, JSON.stringify(options));
    await snapshot.release();
    hashes.add(await engine.hash());
    await engine.stop();
  }
  assert.equal(hashes.size, 1);
});

test("a kernel that throws fails the frame with its system's name, and the world stands where it was", async () => {
  for (const options of [...MODES, { workers: 2 }]) {
    const engine = await start(one({ name: "burn", kernel: "throws" }), options);
    await engine.step(2);
    const hash = await engine.hash();
    for (let again = 0; again < 2; again++) await assert.rejects(engine.step(), error => error instanceof engines.EngineError && !error.fatal && /burn.*RangeError: no more fuel/.test(error.message));
    assert.equal(await engine.hash(), hash);
    assert.equal((await engine.status()).frame, 2);
    await engine.stop();
  }
});

test("what a kernel must not do is the frame's error", async () => {
  const wrong: [Partial<EngineSystem>, RegExp][] = [
    [{ kernel: "undeclared", reads: ["velocity.x"] }, /`it`.*does not declare that it writes `velocity.x`; it writes position.x/],
    [{ kernel: "integrate" }, /`it`.*does not declare that it reads `velocity.x`; it reads nothing/],
    [{ kernel: "writesBool", writes: ["lamp.on"] }, /`it`.*wrote a bool of `lamp.on` that is neither 0 nor 1/],
    [{ kernel: "waits" }, /`it`.*returned a promise/],
    [{ kernel: "keeps" }, /`it`.*the job is over/],
    [{ kernel: "despawns" }, /`it`.*does not declare that it despawns/],
    [{ kernel: "sets", sets: ["lamp"] }, /`it`.*does not declare that it sets `mark`/],
    [{ kernel: "types", sets: ["mark"] }, /`it`.*`mark.at` is of u16, and not of what the given array holds/],
    [{ kernel: "lengths", spawns: ["mark"] }, /`it`.*`mark.at` takes 3 values, or one, and not 2/],
    [{ kernel: "rows", removes: ["mark"] }, /`it`.*there is no row \d+ in a chunk of \d+ rows/],
    [{ kernel: "fields", adds: ["mark"] }, /`it`.*`life.left` is of none of the components/],
  ];
  for (const options of MODES) {
    for (const [system, said] of wrong) {
      const engine = await start(one(system), options);
      // a job that is kept is used by the same thread's next one
      await assert.rejects(engine.step(20), said);
      await engine.stop();
    }
  }
});

test("what is wrong with a world is said before the first frame", async () => {
  const spawn = (columns: EngineWorld["spawn"][number]["columns"], more: object = {}) => ({ ...world(KERNELS), spawn: [{ count: 10, columns, ...more }] }) as EngineWorld;
  const wrong: [EngineWorld, RegExp][] = [
    [{ ...world(KERNELS), layout: "components = 3" }, /layout/],
    [spawn({ "position.x": new Float64Array(10) }), /^spawn\[0\]: column `position.x` is of f32: it takes Float32Array, not Float64Array$/],
    [spawn({ "position.x": new Int32Array(10) }), /it takes Float32Array, not Int32Array/],
    [spawn({ "position.x": new Float32Array(9) }), /^spawn\[0\]: column `position.x` has 9 values for 10 entities$/],
    [spawn({ "spin.turn": new Float64Array(10) }), /column `spin.turn` has 5 values for 10/],
    [spawn({ "position.z": new Float32Array(10) }), /no column `position.z`; of `position` there are `position.x`, `position.y`/],
    [spawn({ "positon.x": new Float32Array(10) }), /no component `positon` \(did you mean `position`\?\)/],
    [spawn({ "lamp.on": new Uint8Array(10).fill(2) }), /a bool of column `lamp.on` is neither 0 nor 1/],
    [spawn({}, { components: ["lamb"] }), /lamb.*did you mean `lamp`/],
    [spawn({}, { count: 1.5 }), /1.5 entities/],
    [one({ reads: ["velocity.y"] }), /system `it`: there is no column `velocity.y`/],
    [one({ writes: ["position"] }), /system `it`: there is no column `position`; of `position` there are `position.x`/],
    [one({ writes: [] }), /system `it` writes no column/],
    [one({ writes: ["position.x", "position.x"] }), /system `it` names column `position.x` twice/],
    [one({ without: ["lamb"] }), /lamb/],
    [one({ stage: "never" }), /system `it` is in stage `never`, but the stages are startup/],
    [one({ kernel: "integrat" }), /system `it`: .*kernels.js exports no function `integrat`; it exports .*integrate/],
    [one({ kernel: "notOne" }), /exports no function `notOne`/],
    [{ ...world(KERNELS), systems: [...SYSTEMS, ...SYSTEMS] }, /drift/],
    [world(`${KERNELS}.none`), /the kernels cannot be loaded: .*kernels.js.none/],
    [world("kernels.js"), /`kernels.js` is no address of kernels/],
    [{ ...world(KERNELS), dt: NaN }, /a frame of NaN seconds/],
  ];
  for (const options of MODES) {
    for (const [scene, said] of wrong) await assert.rejects(start(scene, options), error => error instanceof engines.EngineError && said.test(error.message) || assert.fail(`${said}: ${String(error)}`));
    await assert.rejects(start(world(KERNELS), { ...options, entities: 5 }), /for scenes with a name/);
  }
});

test("a thread that breaks in the middle of a kernel costs a frame at most, and no state", async () => {
  const base = mkdtempSync(join(tmpdir(), "hypostyle-kernels-"));
  try {
    for (const name of ["engine.wasm", "engine-shared.wasm"]) copyFileSync(join(BUILT, name), join(base, name));
    writeFileSync(join(base, "package.json"), `{ "type": "module" }`);
    writeFileSync(join(base, "thread.js"), `
      import { parentPort } from "node:worker_threads";
      import ${JSON.stringify(pathToFileURL(join(BUILT, "thread.js")).href)};
      parentPort.once("message", role => { if (role.worker?.index === 1) globalThis.breakAt = 4; });`);
    const broken = await start(one({ kernel: "breaks" }), { workers: 2, base: pathToFileURL(`${base}/`) }), failures: string[] = [];
    const alive = async () => (await broken.status()).workers.map(worker => worker.alive);
    await come(broken);
    let frame = 0;
    // it may take a while until that thread has a job
    while (frame < 5_000 && (await alive())[1] === 1 && failures.length < 3) {
      try {
        ({ frame } = await broken.step());
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
    assert.ok(failures.length <= 1 && failures.every(failure => failure.includes("the clock is broken")), failures.join("; "));
    assert.deepEqual(await alive(), [1, 0]);
    ({ frame } = await broken.step(5));
    const whole = await start(one({ kernel: "breaks" }), { mode: "in-process" });
    await whole.step(frame);
    assert.equal(await broken.hash(), await whole.hash());
  } finally {
    rmSync(base, { recursive: true });
  }
});

test("the example runs", () => {
  assert.match(execFileSync(process.execPath, ["example/swarm.mjs"], { encoding: "utf8" }), /^workers: 100000 after 600 frames, on the mean 0\.\d+ from the middle\n$/);
});
