//! The engine in node: the native program's states whoever does the work, snapshots in place, and threads that break.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Engine as EngineType, EngineOptions } from "../../src/engine/index.ts";
import { BUILT, load, native, type Engines } from "../support/native.ts";

let engines: Engines;
const running: EngineType[] = [];

before(async () => { engines = await load(); });
after(async () => { for (const engine of running) await engine.stop(); });

async function start(options: EngineOptions): Promise<EngineType> {
  const engine = await engines.Engine.start(options);
  running.push(engine);
  return engine;
}

describe("the native program's states", () => {
  // undefined: in-process
  const WORKERS: (number | undefined)[] = [undefined, 0, 1, 2, 4];
  for (const [scene, entities, frames] of [["particles", 20_000, 60], ["spheres", 1_000, 30], ["nbody", 300, 20]] as const) {
    for (const seed of scene === "particles" ? [1, 7_654_321, 2 ** 53 - 1] : [5]) {
      test(`${scene}, seed ${seed}`, async () => {
        const expected = native(scene, entities, frames, seed);
        for (const workers of WORKERS) {
          const engine = await start({ scene, entities, seed, ...(workers === undefined ? { mode: "in-process" } : { workers }) });
          const who = `${engine.mode}, ${engine.workers} workers`;
          assert.equal(engine.mode, workers === undefined ? "in-process" : "workers", engine.why);
          assert.equal(engine.workers, workers ?? 0);
          assert.equal((await engine.step(frames - 7)).frame, frames - 7);
          assert.equal((await engine.step(7)).frame, frames);
          assert.equal(await engine.hash(), expected, who);
          const status = await engine.status();
          assert.deepEqual(status.workers.map(worker => worker.alive), Array<number>(workers ?? 0).fill(1), who);
          assert.equal(status.jobsOnWorkers, status.workers.reduce((sum, worker) => sum + worker.jobs, 0));
          if (scene === "particles" && workers) assert.ok(status.jobsOnWorkers > 0, `${who}: they did nothing`);
          await engine.stop();
        }
      });
    }
  }
});

for (const options of [{ mode: "in-process" }, { workers: 1 }] as const) {
  test(`a snapshot is in place and stays as it is while frames go on: ${JSON.stringify(options)}`, async () => {
    const engine = await start({ scene: "particles", entities: 5_000, seed: 3, ...options });
    await engine.step(10);
    const snapshot = await engine.pin();
    assert.deepEqual([snapshot.frame, snapshot.entities], [10, (await engine.status()).entities]);
    const parts = snapshot.column("position.y");
    assert.equal(parts.reduce((sum, part) => sum + part.rows, 0) > 4_900, true);
    for (const { array, rows } of parts) {
      assert.ok(array instanceof Float32Array && array.length === rows);
      assert.equal(array.buffer instanceof SharedArrayBuffer, engine.mode === "workers", "no copy");
    }
    const before = parts.map(part => part.array.slice());
    const table = snapshot.tables.find(table => table.columns.has("frozen (presence)"))!;
    assert.ok(table.columns.get("frozen (presence)")!.array instanceof Uint8Array);
    const handles = snapshot.tables.flatMap(table => [...(table.columns.get("(entity)")!.array as BigUint64Array)]);
    assert.equal(new Set(handles).size, snapshot.entities, "each entity once");
    await engine.step(10);
    assert.deepEqual(snapshot.column("position.y").map(part => part.array), before, "pinned");
    const later = await engine.pin();
    assert.equal(later.frame, 20);
    assert.notDeepEqual(later.column("position.y").map(part => part.array.slice()), before);
    await snapshot.release();
    await assert.rejects(snapshot.release(), /there is no snapshot 1/);
    await engine.stop();
  });
}

test("what cannot be is an error that says what could", async () => {
  for (const options of [{ mode: "in-process" }, { workers: 1 }] as const) {
    await assert.rejects(start({ scene: "none", ...options }), error => error instanceof engines.EngineError && /no scene `none`; there are particles/.test(error.message));
    await assert.rejects(start({ scene: "particles", entities: 1.5, ...options }), /1.5 entities/);
    await assert.rejects(start({ scene: "particles", entities: 16_000_000, ...options }), /bytes|memory|full/);
  }
  await assert.rejects(start({ scene: "particles", workers: 65 }), /from 1 to 64/);
  const engine = await start({ scene: "particles", entities: 100, workers: 1 });
  await engine.stop();
  await assert.rejects(engine.step(), /stopped/);
  await engine.stop();
});

test("where threads cannot be started it runs in-process, and says why", async () => {
  const base = mkdtempSync(join(tmpdir(), "hypostyle-engine-"));
  try {
    for (const name of ["engine.wasm", "engine-shared.wasm"]) copyFileSync(join(BUILT, name), join(base, name));
    const engine = await start({ scene: "nbody", entities: 10, base: pathToFileURL(`${base}/`) });
    assert.equal(engine.mode, "in-process");
    assert.match(engine.why, /a worker cannot be started: .*thread\.js/);
    assert.equal((await engine.step(3)).frame, 3);
  } finally {
    rmSync(base, { recursive: true });
  }
});

test("a worker that breaks in the middle of its work costs a frame at most, and no state", async () => {
  const base = mkdtempSync(join(tmpdir(), "hypostyle-engine-"));
  try {
    for (const name of ["engine.wasm", "engine-shared.wasm"]) copyFileSync(join(BUILT, name), join(base, name));
    let died = 0, lost = 0;
    for (const calls of [2, 3, 7, 8, 9, 40, 41, 42, 155, 400]) {
      // the module's own clock throws through its frames, as a trap does
      writeFileSync(join(base, "package.json"), `{ "type": "module" }`);
      writeFileSync(join(base, "thread.js"), `
        import { parentPort } from "node:worker_threads";
        import ${JSON.stringify(pathToFileURL(join(BUILT, "thread.js")).href)};
        parentPort.once("message", role => {
          if (role.worker?.index !== 1) return;
          const now = performance.now.bind(performance);
          let calls = 0;
          performance.now = () => { if (++calls === ${calls}) throw new Error("the clock is broken"); return now(); };
        });`);
      const engine = await start({ scene: "particles", entities: 20_000, seed: 1, workers: 2, base: pathToFileURL(`${base}/`) });
      assert.equal(engine.mode, "workers", engine.why);
      const failures: string[] = [];
      for (let frame = 0; frame < 60 && failures.length < 3;) {
        try {
          ({ frame } = await engine.step());
        } catch (error) {
          failures.push((error as Error).message);
        }
      }
      assert.ok(failures.length <= 1 && failures.every(failure => failure.includes("the clock is broken")), failures.join("; "));
      assert.equal(await engine.hash(), native("particles", 20_000, 60, 1), `${calls} calls`);
      const alive = (await engine.status()).workers.map(worker => worker.alive);
      // the others may have been so quick that it was called less often
      assert.ok(alive[0] === 1 && (alive[1] === 0 || failures.length === 0));
      died += 1 - alive[1]!;
      lost += failures.length;
      await engine.stop();
    }
    assert.ok(died > 0, "none did");
    console.log(`${died} died, ${lost} of them in a job`);
  } finally {
    rmSync(base, { recursive: true });
  }
});
